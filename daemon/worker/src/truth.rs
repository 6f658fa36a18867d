//! Stand-in.
use finetuned_answers::Target;
use finetuned_job::task::Answer;
use finetuned_report::Truth;

pub(crate) struct Arrays {
    answer: Answer,
    labels: Vec<u32>,
    rows: Vec<f32>,
}
impl Arrays {
    pub(crate) fn of(answer: Answer, targets: &[Target], width: usize) -> Arrays {
        let mut it = Arrays { answer, labels: vec![], rows: vec![] };
        match answer {
            Answer::Class => {
                it.labels =
                    targets.iter().map(|it| it.classes().first().copied().unwrap_or(0)).collect()
            }
            Answer::Classes => {
                it.rows = vec![0.0; targets.len() * width];
                for (row, t) in it.rows.chunks_mut(width.max(1)).zip(targets) {
                    t.classes().iter().for_each(|&c| row[c as usize] = 1.0);
                }
            }
            Answer::Numbers => {
                it.rows = targets.iter().flat_map(|it| it.numbers()).map(|&it| it as f32).collect()
            }
        }
        it
    }
    pub(crate) fn truth(&self) -> Truth<'_> {
        match self.answer {
            Answer::Class => Truth::Classes(&self.labels),
            Answer::Classes => Truth::Sets(&self.rows),
            Answer::Numbers => Truth::Numbers(&self.rows),
        }
    }
}
