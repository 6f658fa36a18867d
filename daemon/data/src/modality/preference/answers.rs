//! Cells -> what is answered, and the answers to it. What could teach the wrong thing is put aside:
//! equal answers, answers to different questions, messages in an order that no conversation has.

use super::message::{self, Message, Tools};
use super::messages::{self, Beside};
use crate::quarantine::Reason;
use finetuned_answers::Cell;
use serde::Serialize;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Prompt,
    /// What belongs to the prompt.
    Context,
    Chosen,
    Rejected,
    /// An answer alone.
    Completion,
    System,
    /// Questions and answers before the prompt.
    History,
    Tools,
    /// How far apart the rewards should be at least.
    Margin,
    ChosenScore,
    RejectedScore,
}

#[derive(Debug)]
pub(super) struct Found {
    pub json: String,
    /// Of chosen and rejected.
    pub scores: Option<(f64, f64)>,
    pub margin: Option<f64>,
}

/// # Errors
/// What nothing can be learnt of.
pub(super) fn of_cells(parts: impl Iterator<Item = (Part, Cell)>) -> Result<Found, Reason> {
    let (mut prompt, mut answers) = (Vec::new(), Vec::new());
    let (mut beside, mut tools, mut margin) = (Beside::default(), None, None);
    let mut scores = [None; 2];
    for (part, cell) in parts {
        match part {
            Part::Prompt if cell.is_missing() => {}
            Part::Prompt => {
                // As a request to OpenAI has them.
                let inside = cell.field("tools").cloned().unwrap_or(Cell::Missing);
                tools = message::functions(inside)?.or(tools);
                prompt = messages::asked(cell)?;
            }
            Part::Chosen | Part::Rejected | Part::Completion => {
                answers.push(messages::turns(cell, "assistant")?);
            }
            Part::Context => beside.context = Some(cell),
            Part::System => beside.system = Some(cell),
            Part::History => beside.history = Some(cell),
            Part::Tools => tools = message::functions(cell)?.or(tools),
            Part::Margin => margin = number(&cell, "margin")?,
            Part::ChosenScore => scores[0] = number(&cell, "score of the chosen answer")?,
            Part::RejectedScore => scores[1] = number(&cell, "score of the rejected answer")?,
        }
    }
    divide(&mut prompt, &mut answers)?;
    messages::complete(&mut prompt, beside)?;
    if answers.iter().flatten().any(|it| it.is_answer() && !it.learnt) {
        let why =
            "the loss of an answer is switched off, but preferences are learnt of whole answers";
        return Err(message::own("an answer that is not to be learnt", why));
    }
    // Of what is asked nothing is learnt.
    prompt.iter_mut().chain(answers.iter_mut().flatten()).for_each(|it| it.learnt = true);
    for answer in &answers {
        messages::check(&[&prompt[..], answer].concat())?;
    }
    if let [chosen, rejected] = &answers[..]
        && contents(chosen) == contents(rejected)
    {
        let why = "chosen and rejected are the same answer, so neither can be preferred";
        return Err(message::own("two equal answers", why));
    }
    let scores = scores[0].zip(scores[1]);
    let mut answers = answers.into_iter();
    let (chosen, rejected, completion) = match (answers.next(), answers.next()) {
        (completion, None) => (None, None, completion),
        (chosen, rejected) => (chosen, rejected, None),
    };
    let record = Record { messages: prompt, chosen, rejected, completion, tools, margin };
    Ok(Found { json: messages::written(&record), scores, margin })
}

#[derive(Serialize)]
struct Record {
    messages: Vec<Message>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chosen: Option<Vec<Message>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rejected: Option<Vec<Message>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completion: Option<Vec<Message>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tools: Option<Tools>,
    #[serde(skip_serializing_if = "Option::is_none")]
    margin: Option<f64>,
}

fn content(message: &Message) -> &str {
    message.content.trim()
}

/// Without white space around each, and with everything else that a message has.
fn contents(messages: &[Message]) -> Vec<Message> {
    let mut all = messages.to_vec();
    all.iter_mut().for_each(|it| it.content = content(it).into());
    all
}

/// Takes what answers have in common, where they are whole conversations, to the prompt. TRL's
/// `extract_prompt` does the same.
fn divide(prompt: &mut Vec<Message>, answers: &mut [Vec<Message>]) -> Result<(), Reason> {
    if !prompt.is_empty() && answers.iter().all(|it| it.first().is_some_and(Message::is_answer)) {
        return ends(prompt, answers);
    }
    if answers.iter().any(|it| it.first().is_some_and(Message::is_answer)) {
        let why = "there is no prompt, and the answers do not begin with a question";
        return Err(message::own("no question", why));
    }
    let shortest = answers.iter().map(Vec::len).min().unwrap_or(0);
    let first = &answers[0];
    let same = |it: &usize| answers.iter().all(|of| of[*it] == first[*it]);
    // Of one conversation alone the last answer is what counts.
    let mut shared = (0..shortest).take_while(same).count().min(shortest - 1);
    if answers.len() == 1 || shared + 1 == shortest {
        shared = last_question(first, shared);
    }
    if let Some(other) = answers.iter().find(|it| !it[shared].is_answer()) {
        let (nth, role) = (shared + 1, &other[shared].role);
        let why = format!(
            "chosen and rejected are no answers to the same question: message {nth}, the {role}'s, differs"
        );
        return Err(message::own("different questions", why));
    }
    let shared_part = &first[..shared];
    let asked = prompt.iter().rev().find(|it| it.role == "user");
    if asked.is_some_and(|it| !shared_part.iter().any(|of| content(of) == content(it))) {
        let why =
            "the prompt is none that chosen and rejected, which are whole conversations, answer";
        return Err(message::own("different questions", why));
    }
    let is_system = |it: &&Message| it.role == "system";
    let system = prompt.first().filter(is_system).cloned();
    let system = system.filter(|_| !shared_part.iter().any(|it| is_system(&it)));
    *prompt = system.into_iter().chain(shared_part.iter().cloned()).collect();
    answers.iter_mut().for_each(|it| _ = it.drain(..shared));
    ends(prompt, answers)
}

/// Messages before the answer that begins at or before this place.
fn last_question(messages: &[Message], at: usize) -> usize {
    (0..=at).rev().find(|it| messages[*it].is_answer()).unwrap_or(at)
}

/// That a question stands before the answers, and that nothing stands behind them.
fn ends(prompt: &[Message], answers: &[Vec<Message>]) -> Result<(), Reason> {
    if !prompt.iter().any(|it| it.role == "user") {
        let why = "nothing is asked before the answers";
        return Err(message::own("no question", why));
    }
    let last = |it: &Vec<Message>| it.last().is_some_and(Message::is_answer);
    if answers.iter().all(last) {
        return Ok(());
    }
    let why = "a conversation ends with another message than the assistant's";
    Err(message::own("messages out of order", why))
}

/// None where there is nothing.
fn number(cell: &Cell, what: &'static str) -> Result<Option<f64>, Reason> {
    let number = match cell {
        it if it.is_missing() => return Ok(None),
        Cell::Integer(it) => Some(*it as f64),
        Cell::Fraction(it) => Some(*it),
        Cell::Text(it) => it.trim().parse().ok(),
        _ => None,
    };
    let wrong = || {
        let why = format!("the {what} is {}, which is no number", cell.shown());
        message::own("a score that is no number", why)
    };
    number.filter(|it| it.is_finite()).map(Some).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;
    use serde_json::{Value, json};

    fn read(parts: &[(Part, Value)]) -> Result<Value, String> {
        let parts = parts.iter().map(|(part, it)| (*part, json::cell(it.clone())));
        let found = of_cells(parts).map_err(|it| it.to_string())?;
        Ok(serde_json::from_str(&found.json).unwrap())
    }

    fn pair(chosen: Value, rejected: Value) -> Result<Value, String> {
        read(&[(Part::Chosen, chosen), (Part::Rejected, rejected)])
    }

    fn whole(turns: &[(&str, &str)]) -> Value {
        turns.iter().map(|(role, text)| json!({ "role": role, "content": text })).collect()
    }

    #[test]
    fn every_form_of_a_pair_becomes_the_same() {
        let wanted = json!({
            "messages": [{ "role": "user", "content": "Hi" }],
            "chosen": [{ "role": "assistant", "content": "Hello" }],
            "rejected": [{ "role": "assistant", "content": "Go away" }],
        });
        let texts = |prompt: Value, chosen: Value, rejected: Value| {
            read(&[(Part::Prompt, prompt), (Part::Chosen, chosen), (Part::Rejected, rejected)])
        };
        assert_eq!(texts("Hi".into(), "Hello".into(), "Go away".into()).unwrap(), wanted);
        let [hi, hello, away] = [("user", "Hi"), ("assistant", "Hello"), ("assistant", "Go away")];
        let lists = texts(whole(&[hi]), whole(&[hello]), whole(&[away]));
        assert_eq!(lists.unwrap(), wanted);
        let (chosen, rejected) = (whole(&[hi, hello]), whole(&[hi, away]));
        assert_eq!(pair(chosen.clone(), rejected.clone()).unwrap(), wanted);
        assert_eq!(texts("Hi".into(), chosen, rejected).unwrap(), wanted, "UltraFeedback");
        let marks = |it: &str| Value::from(format!("\n\nHuman: Hi\n\nAssistant: {it}"));
        assert_eq!(pair(marks("Hello"), marks("Go away")).unwrap(), wanted, "hh-rlhf");
        let turn = |who: &str, text: &str| json!({ "from": who, "value": text });
        let asked = json!([turn("human", "Hi")]);
        let one = texts(asked, turn("gpt", "Hello"), turn("gpt", "Go away"));
        assert_eq!(one.unwrap(), wanted, "LLaMA-Factory");
    }

    #[test]
    fn conversations_are_divided_where_they_differ() {
        let begun = [("system", "Be kind."), ("user", "a"), ("assistant", "b"), ("user", "c")];
        let with = |end: &[(&str, &str)]| whole(&[&begun, end].concat());
        let found = pair(with(&[("assistant", "d")]), with(&[("assistant", "e")])).unwrap();
        assert_eq!(found["messages"].as_array().unwrap().len(), 4);
        assert_eq!(found["rejected"][0]["content"], "e");
        // One goes on after the other has ended.
        let longer = [("assistant", "d"), ("user", "f"), ("assistant", "g")];
        let found = pair(with(&[("assistant", "d")]), with(&longer)).unwrap();
        assert_eq!(found["chosen"], whole(&[("assistant", "d")]));
        assert_eq!(found["rejected"], whole(&longer));
    }

    #[test]
    fn a_prompt_gives_what_conversations_do_not_begin_with() {
        let (system, hi) = (("system", "Be kind."), ("user", "Hi"));
        let [chosen, rejected] = ["a", "b"].map(|it| whole(&[hi, ("assistant", it)]));
        let prompt = whole(&[system, hi]);
        let parts =
            [(Part::Prompt, prompt.clone()), (Part::Chosen, chosen), (Part::Rejected, rejected)];
        assert_eq!(read(&parts).unwrap()["messages"], prompt);
        let begun = "\n\nHuman: Hi\n\nAssistant:".into();
        let parts =
            [(Part::Prompt, begun), (Part::Chosen, "a".into()), (Part::Rejected, "b".into())];
        assert_eq!(read(&parts).unwrap()["messages"], whole(&[hi]), "rm-static");
    }

    #[test]
    fn what_teaches_nothing_or_the_wrong_thing_is_put_aside() {
        let refused = |parts: &[(Part, Value)], why: &str| {
            let found = read(parts).unwrap_err();
            assert!(found.contains(why), "{found}");
        };
        let answers = |chosen: Value, rejected: Value| {
            [(Part::Prompt, "Hi".into()), (Part::Chosen, chosen), (Part::Rejected, rejected)]
        };
        refused(&answers("a".into(), " a ".into()), "are the same answer");
        refused(&answers("a".into(), " ".into()), "the answer is empty");
        refused(&answers("a".into(), whole(&[("assistant", " ")])), "an answer, is empty");
        let questions = [("user", "one"), ("user", "two")];
        let [one, two] = questions.map(|it| whole(&[it, ("assistant", "a")]));
        let both = [(Part::Chosen, one.clone()), (Part::Rejected, two)];
        refused(&both, "message 1, the user's, differs");
        let texts = [(Part::Chosen, "a".into()), (Part::Rejected, "b".into())];
        refused(&texts, "there is no prompt");
        let twice = whole(&[("assistant", "a"), ("assistant", "b")]);
        refused(&answers("c".into(), twice), "a second answer in a row");
        let asks = whole(&[("assistant", "a"), ("user", "b")]);
        refused(&answers("c".into(), asks), "ends with another message");
        let beside = [(Part::Prompt, "three".into()), (Part::Chosen, one.clone())];
        let other = whole(&[("user", "one"), ("assistant", "b")]);
        refused(&[&beside[..], &[(Part::Rejected, other)]].concat(), "the prompt is none");
        let (chosen, rejected) = (one.clone(), one);
        refused(&[(Part::Chosen, chosen), (Part::Rejected, rejected)], "are the same answer");
        let scored = [
            (Part::Prompt, "Hi".into()),
            (Part::Chosen, "a".into()),
            (Part::Rejected, "b".into()),
            (Part::ChosenScore, "high".into()),
        ];
        refused(&scored, "the score of the chosen answer is `high`, which is no number");
    }
}
