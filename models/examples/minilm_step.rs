//! Times one update of MiniLM: `minilm_step FOLDER [threads] [batch] [tokens] [steps]`.
use finetuned_libtorch::{Algorithm, Optimizer};
use finetuned_models::{BuildOptions, Pass, Tokens, open};
use std::time::Instant;
use tch::{Device, Kind, Tensor};

fn proc(field: &str) -> String {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    text.lines().find(|l| l.starts_with(field)).unwrap_or("").split_whitespace().nth(1).unwrap_or("").into()
}
fn stat() -> (u64, u64, u64) {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    let f: Vec<&str> = text.rsplit_once(')').unwrap().1.split_whitespace().collect();
    (f[7].parse().unwrap(), f[11].parse().unwrap(), f[12].parse().unwrap())
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let num = |at: usize, or: i64| args.get(at).and_then(|it| it.parse().ok()).unwrap_or(or);
    let (threads, batch, seq, steps) = (num(2, 2), num(3, 32), num(4, 150), num(5, 8));
    tch::set_num_threads(threads as i32);
    tch::set_num_interop_threads(1);
    let checkpoint = open(std::path::Path::new(&args[1])).unwrap();
    let options = BuildOptions { classes: 3, dropout: None, attention_dropout: 0.0, device: Device::Cpu, seed: 0, keep_head: false };
    let mut model = checkpoint.build(&options).unwrap();
    let names = model.tensors.iter().map(|it| it.0.clone()).collect();
    model.classifier.set_trainable(&names);
    let mut optimizer = Optimizer::new(Algorithm::AdamW { betas: (0.9, 0.999), eps: 1e-8 });
    for (name, it) in &model.tensors {
        optimizer.add(name, it, 1.0, 0.01);
    }
    let padded = std::env::var("PADDED").is_ok();
    let varied = std::env::var("VARIED").is_ok();
    let mut times = Vec::new();
    for step in 0..steps {
        let seq = if varied { [40, 150, 97, 61, 120, 33, 80, 143][step as usize % 8] } else { seq };
        let ids = (Tensor::arange(batch * seq, (Kind::Int64, Device::Cpu)) * 7919).remainder(29000) + 1000; let ids = ids.view([batch, seq]);
        let mask = Tensor::ones([batch, seq], (Kind::Int64, Device::Cpu));
        if padded {
            let _ = mask.narrow(1, seq - 5, 5).narrow(0, 0, batch / 2).fill_(0);
        }
        let input = Tokens { ids, mask };
        let labels = Tensor::arange(batch, (Kind::Int64, Device::Cpu)).remainder(3);
        let (f0, u0, s0) = stat();
        let start = Instant::now();
        let pass = Pass::training(0, step as u64, 0);
        let features = model.classifier.features(&input, &pass).unwrap();
        let logits = model.classifier.head(&features, &pass).unwrap();
        let loss = logits.cross_entropy_for_logits(&labels);
        let forward = start.elapsed().as_secs_f64();
        loss.backward();
        drop((features, logits));
        let backward = start.elapsed().as_secs_f64() - forward;
        optimizer.clip_grad_norm(Some(1.0)).unwrap();
        let clip = start.elapsed().as_secs_f64() - forward - backward;
        optimizer.step(1e-5).unwrap();
        optimizer.zero_grad();
        let all = start.elapsed().as_secs_f64();
        let (f1, u1, s1) = stat();
        times.push(all);
        if step + 4 >= steps {
            println!("step {step} seq {seq}: {all:.3} s = forward {forward:.3} + backward {backward:.3} + clip {clip:.3} + step {:.3}; faults {} user {} sys {} (1/100 s) loss {:.6}", all - forward - backward - clip, f1 - f0, u1 - u0, s1 - s0, loss.double_value(&[]));
        }
    }
    let (mut late, best) = (times[2..].to_vec(), times.iter().cloned().fold(f64::MAX, f64::min));
    late.sort_by(f64::total_cmp);
    println!("median {:.3} s, best {best:.3} s, total {:.2} s, peak {} MB, now {} MB", late[late.len() / 2], times.iter().sum::<f64>(), proc("VmHWM").parse::<u64>().unwrap_or(0) / 1024, proc("VmRSS").parse::<u64>().unwrap_or(0) / 1024);
}
