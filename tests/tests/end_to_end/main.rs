//! What a user sees, with the real binaries on real folders and real signals.

mod attempt; // one worker process, started with a spec as the supervisor would
mod training; // stories of one run: proof, freezing, exact resume, stops
