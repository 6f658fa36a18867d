//! Conversations that stand in one text, each turn behind a mark: `Human:` and `Assistant:`, as
//! Anthropic's hh-rlhf has them, or `User:` and `Assistant:`.

use super::message::Message;

const HUMAN: &str = "Human:";
const USER: &str = "User:";
const ASSISTANT: &str = "Assistant:";

/// Whether it is a text that begins with such a mark.
pub(in crate::modality) fn is_marked(text: &str) -> bool {
    begins(text).is_some()
}

/// The mark that a text begins with. A user that nobody answers may be anything.
fn begins(text: &str) -> Option<&'static str> {
    let text = text.trim_start();
    let answers = || text.contains(&format!("\n{ASSISTANT}"));
    [HUMAN, ASSISTANT]
        .into_iter()
        .find(|it| text.starts_with(it))
        .or_else(|| Some(USER).filter(|it| text.starts_with(it) && answers()))
}

/// The turns of a text that is marked.
pub(super) fn marked(text: &str) -> Vec<Message> {
    let asks = if begins(text) == Some(USER) { USER } else { HUMAN };
    let mut rest = format!("\n\n{}", text.trim_start());
    // Where blank lines stand before turns, single line ends may stand within them.
    let line = if rest[2..].contains(&format!("\n\n{ASSISTANT}")) { "\n\n" } else { "\n" };
    let marks = [(asks, "user"), (ASSISTANT, "assistant")];
    let marks = marks.map(|(mark, role)| (format!("{line}{mark}"), role));
    let next = |text: &str| {
        let found = marks.iter().filter_map(|it| Some((text.find(&it.0)?, it.0.len(), it.1)));
        found.min()
    };
    let mut messages = Vec::new();
    while let Some((at, length, role)) = next(&rest) {
        let behind = rest.split_off(at + length);
        let end = next(&behind).map_or(behind.len(), |it| it.0);
        messages.push(Message::new(role, within(&behind[..end])));
        rest = behind;
    }
    messages
}

/// Without white space around it, but for the first line of several that begins below its mark.
fn within(turn: &str) -> &str {
    let turn = turn.trim_end();
    match turn.trim_start_matches([' ', '\t', '\r']).strip_prefix('\n') {
        Some(lines) if lines.contains('\n') => lines.trim_start_matches('\n'),
        _ => turn.trim_start(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, wanted: &[(&str, &str)]) {
        assert!(is_marked(text), "{text}");
        let found = marked(text);
        let found: Vec<_> = found.iter().map(|it| (&*it.role, &*it.content)).collect();
        assert_eq!(found, wanted);
    }

    #[test]
    fn turns_stand_behind_their_marks() {
        check(
            "\n\nHuman: Hi\nHuman: you\n\nAssistant: Hello",
            &[("user", "Hi\nHuman: you"), ("assistant", "Hello")],
        );
        let wanted = [("user", "Hi"), ("assistant", "Hello"), ("user", "And?"), ("assistant", "")];
        check("Human: Hi\nAssistant: Hello\nHuman: And?\nAssistant:", &wanted);
        check("User: Hi\nAssistant: Hello\nUser: And?\nAssistant:", &wanted);
        check("Assistant: Hello", &[("assistant", "Hello")]);
        check(
            "Human: f?\n\nAssistant:\n    a\n    b\n",
            &[("user", "f?"), ("assistant", "    a\n    b")],
        );
        for text in ["User: who is that?", "A Human: no", ""] {
            assert!(!is_marked(text), "{text}");
        }
    }
}
