//! A plugin that panics in every function of every plain kind, each in an item of its own.

use finetuned_sdk::{
    Answer, Augmentation, DropFolder, Found, Hook, Metric, NoSettings, Pixels, Predictions,
    Progress, Random, Reader, Result, Reward, Wish,
};

/// Panics in the function number `AT` of its kind.
struct Panics<const AT: usize>;

fn maybe<const AT: usize, const HERE: usize>() {
    if AT == HERE {
        panic!("function {HERE} of a bad plugin");
    }
}

impl<const AT: usize> Metric for Panics<AT> {
    const NAME: &'static str = ["new", "update", "merge", "compute"][AT];
    const HIGHER_IS_BETTER: bool = true;
    type Settings = NoSettings;

    fn new(_: NoSettings, _: &[&str]) -> Result<Self> {
        maybe::<AT, 0>();
        Ok(Panics)
    }

    fn update(&mut self, _: &Predictions) -> Result<()> {
        maybe::<AT, 1>();
        Ok(())
    }

    fn merge(&mut self, _: &Self) -> Result<()> {
        maybe::<AT, 2>();
        Ok(())
    }

    fn compute(&self) -> Result<f64> {
        maybe::<AT, 3>();
        Ok(0.5)
    }
}

impl<const AT: usize> Hook for Panics<AT> {
    const NAME: &'static str = ["new", "progress", "state", "resume"][AT];
    type Settings = NoSettings;
    type State = ();

    fn new(_: NoSettings) -> Result<Self> {
        maybe::<AT, 0>();
        Ok(Panics)
    }

    fn progress(&mut self, _: &Progress) -> Result<Wish> {
        maybe::<AT, 1>();
        Ok(Wish::GO_ON)
    }

    fn state(&self) {
        maybe::<AT, 2>();
    }

    fn resume(&mut self, (): ()) {
        maybe::<AT, 3>();
    }
}

impl<const AT: usize> Reader for Panics<AT> {
    const NAME: &'static str = ["new", "recognise", "read"][AT];
    type Settings = NoSettings;

    fn new(_: NoSettings) -> Result<Self> {
        maybe::<AT, 0>();
        Ok(Panics)
    }

    fn recognise(&mut self, drop: &DropFolder) -> Result<bool> {
        maybe::<AT, 1>();
        Ok(drop.files().next().is_some())
    }

    fn read(&mut self, _: &DropFolder, _: &mut Found) -> Result<()> {
        maybe::<AT, 2>();
        Ok(())
    }
}

impl<const AT: usize> Augmentation for Panics<AT> {
    const NAME: &'static str = ["new", "apply"][AT];
    type Settings = NoSettings;

    fn new(_: NoSettings) -> Result<Self> {
        maybe::<AT, 0>();
        Ok(Panics)
    }

    fn apply(&self, _: &mut Pixels, _: &mut Random) -> Result<()> {
        maybe::<AT, 1>();
        Ok(())
    }
}

impl<const AT: usize> Reward for Panics<AT> {
    const NAME: &'static str = ["new", "reward"][AT];
    type Settings = NoSettings;

    fn new(_: NoSettings) -> Result<Self> {
        maybe::<AT, 0>();
        Ok(Panics)
    }

    fn reward(&self, _: &Answer) -> Result<f64> {
        maybe::<AT, 1>();
        Ok(0.0)
    }
}

finetuned_sdk::export! {
    metrics: [Panics<0>, Panics<1>, Panics<2>, Panics<3>],
    hooks: [Panics<0>, Panics<1>, Panics<2>, Panics<3>],
    readers: [Panics<0>, Panics<1>, Panics<2>],
    augmentations: [Panics<0>, Panics<1>],
    rewards: [Panics<0>, Panics<1>],
}
