//! Opens plugins and calls them: the only place with `libloading` and with calls across the border
//! of the ABI.
//!
//! [`Plugins::load`] opens what a recipe names; `head`, `loss`, `metric`, `reader`, `hook`,
//! `augmentation` and `reward` make instances of what those export. Every error is a [`Failure`] in
//! one sentence that names plugin, item and function. What a plugin gives is looked at (defined,
//! shape, type, device, finite) before anybody else sees it. Whatever ends the process while a
//! plugin is at work can be laid at its door by `plugin.call` in the run folder.

mod augmentation;
mod border; // what every call shares
mod call_page; // who is at work, for when nobody is left to say it
mod check; // the action `check_plugin`
mod head;
mod hook;
mod library; // bytes -> an open library
mod loss;
mod metric;
mod opened; // an open library -> the functions in it
mod problem; // what it is made for
mod reader;
mod reward;
mod tensors; // tensors across the border

pub(crate) use augmentation::AugmentationInstance;
pub(crate) use check::check;
pub(crate) use head::{HeadFeatures, HeadInstance, HeadShape, Parameter, PassNumbers};
pub(crate) use hook::{HookInstance, HookProgress, Moment, Wishes};
pub(crate) use loss::{LossInstance, LossShape};
pub(crate) use metric::MetricInstance;
pub(crate) use reader::{Content, Files, Place, Read, ReaderInstance};
pub(crate) use reward::{Answered, RewardInstance};

use border::Subject;
use call_page::CallPage;
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::run_folder;
use finetuned_job::spec::PluginRules;
use finetuned_job::task::Answer;
use finetuned_plugins::{Export, Kind, Plugin};
use opened::{Functions, Opened};
use std::path::Path;
use std::sync::Arc;

/// Receives a plugin's log lines, on whatever thread it speaks: the plugin's name, `abi::LOG_...`,
/// the line.
pub(crate) type Log = Arc<dyn Fn(&str, u32, &str) + Send + Sync>;

/// The plugins of this process. They stay until it ends.
pub(crate) struct Plugins {
    opened: Vec<Opened>,
    /// Absent where no plugin was opened.
    page: Option<Arc<CallPage>>,
}

impl Plugins {
    /// Opens the plugins that a recipe names, in its order. `taken` are the names that are ours.
    ///
    /// # Errors
    /// A plugin is missing, refused, can't be opened, or brings a name that is taken.
    pub(crate) fn load(
        rules: Option<&PluginRules>,
        names: &[String],
        run: &Path,
        taken: &[(Kind, &str)],
        log: Log,
    ) -> Result<Plugins, Failure> {
        let mut plugins = Plugins { opened: vec![], page: None };
        for name in names {
            let Some(rules) = rules else {
                return Err(Failure::new(
                    FailureKind::Plugin,
                    format!("the plugin {name} is wanted, but no plugin folder is set"),
                ));
            };
            let refused = |why: finetuned_plugins::Refusal| {
                let cure = "`finetuned plugin list` shows what is there; a plugin is a file NAME.so in the plugin folder";
                Failure::new(FailureKind::Plugin, why.to_string()).with_cure(cure)
            };
            let found = finetuned_plugins::find(rules, name).map_err(refused)?;
            plugins.open(&found, rules.call_s, run, taken, &log)?;
        }
        Ok(plugins)
    }

    fn open(
        &mut self,
        plugin: &Plugin,
        call_s: u32,
        run: &Path,
        taken: &[(Kind, &str)],
        log: &Log,
    ) -> Result<(), Failure> {
        let clash = |export: &Export| {
            let others = self.opened.iter().flat_map(|it| {
                it.items.iter().map(|item| (&item.export, format!("the plugin {}", it.name)))
            });
            let by_other = others.into_iter().find(|(it, _)| *it == export).map(|(_, by)| by);
            by_other
                .or_else(|| {
                    taken.contains(&(export.kind, &export.name)).then(|| "finetuned itself".into())
                })
                .map(|by| (export.clone(), by))
        };
        if let Some((export, by)) = plugin.descriptor.exports.iter().find_map(clash) {
            let message = format!(
                "the plugin {} brings the {} {}, a name that {by} has",
                plugin.descriptor.name,
                export.kind.name(),
                export.name
            );
            return Err(Failure::new(FailureKind::Plugin, message)
                .with_cure("load one of them, or rename it in its source"));
        }
        let page = match &self.page {
            Some(page) => Arc::clone(page),
            None => {
                let made = CallPage::open(&run.join(run_folder::PLUGIN_CALL), call_s);
                let made =
                    made.map_err(|err| Failure::new(FailureKind::Disk, format!("{err:#}")))?;
                Arc::clone(self.page.insert(made))
            }
        };
        self.opened.push(Opened::open(plugin, &page, log)?);
        Ok(())
    }

    /// Name, version and hash of each, for plan.json and the report.
    pub(crate) fn loaded(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.opened.iter().map(|it| (it.name.as_str(), it.version.as_str(), it.hash.as_str()))
    }

    /// What all of them export, with the name of the plugin.
    pub(crate) fn exports(&self) -> impl Iterator<Item = (&Export, &str)> {
        self.opened
            .iter()
            .flat_map(|it| it.items.iter().map(|item| (&item.export, it.name.as_str())))
    }

    /// # Errors
    /// Nothing loaded has this name, or it is not made for what the data have.
    pub(crate) fn suits(&self, kind: Kind, name: &str, problem: Answer) -> Result<(), Failure> {
        self.item_for(problem, kind, name).map(drop)
    }

    /// `settings` is a JSON object, `{}` for none.
    pub(crate) fn head(
        &self,
        name: &str,
        settings: &str,
        shape: HeadShape,
    ) -> Result<HeadInstance, Failure> {
        match self.item_for(shape.problem, Kind::Head, name)? {
            (subject, Functions::Head(functions)) => {
                HeadInstance::create(subject, functions, settings, shape)
            }
            _ => unreachable!("a kind has the functions of its kind"),
        }
    }

    pub(crate) fn loss(
        &self,
        name: &str,
        settings: &str,
        shape: LossShape,
    ) -> Result<LossInstance, Failure> {
        match self.item_for(shape.problem, Kind::Loss, name)? {
            (subject, Functions::Loss(functions)) => {
                LossInstance::create(subject, functions, settings, shape)
            }
            _ => unreachable!("a kind has the functions of its kind"),
        }
    }

    /// `outputs` are the names of the classes, or of the numbers.
    pub(crate) fn metric(
        &self,
        name: &str,
        settings: &str,
        problem: Answer,
        outputs: &[String],
    ) -> Result<MetricInstance, Failure> {
        match self.item_for(problem, Kind::Metric, name)? {
            (subject, Functions::Metric(functions)) => {
                MetricInstance::create(subject, functions, settings, problem, outputs)
            }
            _ => unreachable!("a kind has the functions of its kind"),
        }
    }

    pub(crate) fn reader(&self, name: &str, settings: &str) -> Result<ReaderInstance, Failure> {
        match self.item(Kind::Reader, name)? {
            (subject, Functions::Reader(functions)) => {
                ReaderInstance::create(subject, functions, settings)
            }
            _ => unreachable!("a kind has the functions of its kind"),
        }
    }

    pub(crate) fn hook(&self, name: &str, settings: &str) -> Result<HookInstance, Failure> {
        match self.item(Kind::Hook, name)? {
            (subject, Functions::Hook(functions)) => {
                HookInstance::create(subject, functions, settings)
            }
            _ => unreachable!("a kind has the functions of its kind"),
        }
    }

    pub(crate) fn augmentation(
        &self,
        name: &str,
        settings: &str,
    ) -> Result<AugmentationInstance, Failure> {
        match self.item(Kind::Augmentation, name)? {
            (subject, Functions::Augmentation(functions)) => {
                AugmentationInstance::create(subject, functions, settings)
            }
            _ => unreachable!("a kind has the functions of its kind"),
        }
    }

    pub(crate) fn reward(&self, name: &str, settings: &str) -> Result<RewardInstance, Failure> {
        match self.item(Kind::Reward, name)? {
            (subject, Functions::Reward(functions)) => {
                RewardInstance::create(subject, functions, settings)
            }
            _ => unreachable!("a kind has the functions of its kind"),
        }
    }

    fn item_for(
        &self,
        problem: Answer,
        kind: Kind,
        name: &str,
    ) -> Result<(Subject, Functions), Failure> {
        let (subject, functions) = self.item(kind, name)?;
        functions.suit(&subject, problem)?;
        Ok((subject, functions))
    }

    fn item(&self, kind: Kind, name: &str) -> Result<(Subject, Functions), Failure> {
        let mut items = self
            .opened
            .iter()
            .flat_map(|plugin| plugin.items.iter().map(move |item| (plugin, item)));
        match (items.find(|(_, it)| it.export.kind == kind && it.export.name == name), &self.page) {
            (Some((plugin, item)), Some(page)) => Ok((
                Subject::new(&format!("the {} {name}", kind.name()), &plugin.name, page),
                item.functions,
            )),
            _ => {
                let have: Vec<String> = self
                    .exports()
                    .filter(|(it, _)| it.kind == kind)
                    .map(|(it, plugin)| format!("{} of {plugin}", it.name))
                    .collect();
                let have = if have.is_empty() { "none".into() } else { have.join(", ") };
                let message = format!(
                    "no {} `{name}` is there: the plugins that are loaded bring {have}",
                    kind.name()
                );
                Err(Failure::new(FailureKind::Plugin, message)
                    .with_cure("name its plugin in [plugins] load"))
            }
        }
    }
}
