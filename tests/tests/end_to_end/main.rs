//! What a user sees, with the real binaries on real folders and real signals.

mod attempt; // one worker process, started with a spec as the supervisor would
mod daemon; // stories of a daemon that nothing disturbs
mod faults;
mod sandbox; // a home with a daemon, started as a user would
mod training; // stories of one run: proof, freezing, exact resume, stops // stories of kills, full disks and restless owners
