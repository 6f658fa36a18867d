//! Stand-in for the one data set of all modalities.
use crate::{At, ImageChoice, ImageRequest, Opened, Progress};
use finetuned_answers::Target;
use finetuned_job::data::{DataReport, FileReport};
use finetuned_job::outcome::Failure;
use finetuned_job::recipe::DataChoice;
use finetuned_job::run_folder;
use finetuned_job::task::{Answer, Modality, Task};
use std::path::Path;
use std::sync::Arc;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record {
    pub texts: Box<[Box<str>]>,
    pub words: Box<[(u32, u32)]>,
    pub image: Option<At>,
}
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    pub record: Record,
    pub target: Target,
    pub key: u128,
    pub file: u32,
    pub line: u64,
}
#[derive(Debug, Clone)]
pub struct Images(crate::Images);
impl Images {
    pub fn bytes(&self, it: &Example) -> Result<Vec<u8>, Failure> {
        self.0.bytes(&crate::ImageExample {
            at: it.record.image.clone().unwrap(),
            target: crate::Target::Class(0),
            key: it.key,
            file: it.file,
            line: it.line,
        })
    }
}
#[derive(Debug)]
pub struct Origins(Vec<FileReport>);
impl Origins {
    pub fn of(&self, it: &Example) -> String {
        match &it.record.image {
            Some(at) => crate::ImageExample {
                at: at.clone(),
                target: crate::Target::Class(0),
                key: it.key,
                file: it.file,
                line: it.line,
            }
            .origin(&self.0),
            None => format!(
                "{}:{}",
                self.0.get(it.file as usize).map_or("?", |it| it.path.as_str()),
                it.line
            ),
        }
    }
}
pub struct Dataset {
    pub task: Task,
    pub reason: String,
    pub outputs: Vec<String>,
    pub train: Vec<Example>,
    pub validation: Vec<Example>,
    pub test: Vec<Example>,
    pub report: DataReport,
    pub images: Option<Images>,
    pub origins: Arc<Origins>,
}
pub struct Request<'a> {
    pub task: Option<Task>,
    pub choice: &'a DataChoice,
    pub seed: u64,
    pub run: &'a Path,
    pub threads: usize,
}
pub struct Named {
    pub record: Record,
    pub what: String,
    pub origin: String,
    image: Option<crate::ImageInput>,
}
impl Named {
    pub fn image_bytes(&self) -> Result<Vec<u8>, Failure> {
        self.image.as_ref().unwrap().bytes()
    }
}
pub fn modality(opened: &Opened, task: Option<Task>) -> Result<Modality, Failure> {
    Ok(match task {
        Some(it) => it.modality,
        None if opened.image_form()?.is_some() => Modality::Image,
        None => Modality::Text,
    })
}
pub fn load(opened: &Opened, r: &Request, progress: &mut Progress<'_>) -> Result<Dataset, Failure> {
    if modality(opened, r.task)? == Modality::Text {
        let d = opened.load(r.choice, r.seed, &r.run.join(run_folder::QUARANTINE), progress)?;
        let of = |it: Vec<crate::Example>| {
            it.into_iter()
                .map(|it| {
                    use crate::sample::Sample;
                    Example {
                        key: it.key(),
                        record: Record { texts: [it.text].into(), ..Record::default() },
                        target: Target::of_classes([it.label]),
                        file: it.file,
                        line: it.line,
                    }
                })
                .collect()
        };
        return Ok(Dataset {
            task: Task::of(Modality::Text, Answer::Class).unwrap(),
            reason: String::new(),
            outputs: d.classes,
            train: of(d.train),
            validation: of(d.validation),
            test: of(d.test),
            origins: Arc::new(Origins(d.report.files.clone())),
            report: d.report,
            images: None,
        });
    }
    let labels = r.choice.label.iter().chain(&r.choice.labels).cloned().collect();
    let choice = ImageChoice {
        problem: r.task.map(|it| it.answer),
        image: r.choice.image.clone(),
        labels,
        validation: r.choice.validation,
        test: r.choice.test,
    };
    let d = opened.load_images(
        &ImageRequest { choice: &choice, seed: r.seed, run: r.run, threads: r.threads },
        progress,
    )?;
    let target = |it: crate::Target| match it {
        crate::Target::Class(it) => Target::of_classes([it]),
        crate::Target::Classes(it) => Target::of_classes(it),
        crate::Target::Numbers(it) => Target::of_numbers(it),
    };
    let of = |it: Vec<crate::ImageExample>| {
        it.into_iter()
            .map(|it| Example {
                key: it.key,
                record: Record { image: Some(it.at), ..Record::default() },
                target: target(it.target),
                file: it.file,
                line: it.line,
            })
            .collect()
    };
    let numbers = d
        .report
        .images
        .as_ref()
        .map_or(vec![], |it| it.numbers.iter().map(|it| it.column.clone()).collect());
    let outputs = if numbers.is_empty() { d.classes } else { numbers };
    Ok(Dataset {
        task: Task::of(Modality::Image, d.problem).unwrap(),
        reason: String::new(),
        outputs,
        train: of(d.train),
        validation: of(d.validation),
        test: of(d.test),
        origins: Arc::new(Origins(d.report.files.clone())),
        report: d.report,
        images: Some(Images(d.images)),
    })
}
pub fn inputs(
    modality: Modality,
    args: &[String],
    columns: &[String],
) -> Result<Vec<Named>, Failure> {
    Ok(match modality {
        Modality::Text => crate::inputs(args, columns.first().map(String::as_str))?
            .into_iter()
            .map(|it| Named {
                record: Record {
                    texts: [it.text.clone().into_boxed_str()].into(),
                    ..Record::default()
                },
                what: it.text,
                origin: it.origin,
                image: None,
            })
            .collect(),
        Modality::Image => crate::image_inputs(args)?
            .into_iter()
            .map(|it| Named {
                record: Record::default(),
                what: it.origin.clone(),
                origin: it.origin.clone(),
                image: Some(it),
            })
            .collect(),
    })
}
