//! Decides where tensors live.

use anyhow::Result;
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::spec;
use tch::{Cuda, Device};

pub(crate) fn choose(asked: spec::Device) -> Result<Device> {
    let cuda = Cuda::is_available();
    match asked {
        spec::Device::Cpu => Ok(Device::Cpu),
        spec::Device::Auto => Ok(Device::cuda_if_available()),
        spec::Device::Cuda if cuda => Ok(Device::Cuda(0)),
        spec::Device::Cuda => {
            let message = "the device is set to cuda, but libtorch sees no GPU";
            let cure = "install a driver and a libtorch with CUDA (`make libtorch CUDA=1`), or set device = \"cpu\"";
            Err(Failure::new(FailureKind::Model, message).with_cure(cure).into())
        }
    }
}

/// `cpu` or `cuda:0`.
pub(crate) fn name(device: Device) -> String {
    match device {
        Device::Cuda(index) => format!("cuda:{index}"),
        _ => "cpu".into(),
    }
}
