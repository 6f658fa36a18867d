//! Hours of the day by the machine's own clock and time zone, as `22:00-06:00`.

use chrono::{Local, Timelike};
use std::fmt;

const DAY_MINUTES: u32 = 24 * 60;

/// In minutes since midnight; the end is no part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hours {
    from: u32,
    to: u32,
}

impl Hours {
    /// `None`: it is no such text, or hours that begin when they end.
    pub fn parse(text: &str) -> Option<Hours> {
        let minutes = |text: &str| {
            let (hour, minute) = text.trim().split_once(':')?;
            let (hour, minute): (u32, u32) = (hour.parse().ok()?, minute.parse().ok()?);
            // What is above is none, and must not overflow.
            let all = hour.min(24) * 60 + minute.min(60);
            (hour <= 24 && minute < 60 && all <= DAY_MINUTES).then_some(all)
        };
        let (from, to) = text.split_once('-')?;
        let (from, to) = (minutes(from)?, minutes(to)?);
        (from != to && from < DAY_MINUTES).then_some(Hours { from, to })
    }

    pub fn hold_now(self) -> bool {
        let now = Local::now();
        self.hold(now.hour() * 60 + now.minute())
    }

    fn hold(self, minute: u32) -> bool {
        if self.from < self.to {
            self.from <= minute && minute < self.to
        } else {
            self.from <= minute || minute < self.to
        }
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Hours { from, to } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_may_go_past_midnight() {
        let hold = |text: &str, times: [&str; 4]| {
            let hours = Hours::parse(text).unwrap();
            assert_eq!(hours.to_string(), text);
            times.map(|it| hours.hold(Hours::parse(&format!("{it}-24:00")).unwrap().from))
        };
        let times = ["07:59", "08:00", "17:59", "18:00"];
        assert_eq!(hold("08:00-18:00", times), [false, true, true, false]);
        assert_eq!(hold("18:00-08:00", times), [true, false, false, true]);
        assert_eq!(hold("00:00-24:00", times), [true; 4]);
        assert_eq!(hold("17:00-00:00", times), [false, false, true, true]);
        for text in ["", "8-18", "08:00", "08:00-08:00", "24:00-08:00", "08:60-09:00", "25:00-1:00"]
        {
            assert_eq!(Hours::parse(text), None, "{text}");
        }
        assert!(Hours::parse("0:00-24:00").unwrap().hold_now());
    }
}
