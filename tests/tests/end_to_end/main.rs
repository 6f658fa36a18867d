//! What a user sees, with the real binaries on real folders and real signals.

mod adapters; // stories of adapters, merged and left as they are
mod answers;
mod confinement; // stories of workers that strangers lead astray
mod attempt; // one worker process, started with a spec as the supervisor would
mod base_models; // stories of models from a hub
mod custody; // stories of lost databases, stuck originals and strangers
mod daemon; // stories of a daemon that nothing disturbs
mod faults; // stories of kills, full disks and restless owners
mod images; // stories of runs on images
mod mistakes; // what a person gets wrong at the command line
mod old_runs; // stories of runs that an earlier version left
mod plugin_jobs; // stories of jobs with plugins, good and bad
mod plugins; // stories of plugins, good and bad
mod publishing; // stories of kills between the last steps of a run
mod sandbox; // a home with a daemon, started as a user would
mod service; // stories of a daemon and the manager of services
mod submitting; // stories of drops that a command hands over
mod turns; // stories of jobs that wait for each other
mod training; // stories of one run: proof, freezing, exact resume, stops
mod second_training; // stories of all examples, learnt from in the end
mod language_models; // stories of texts without labels
mod bad_input; // stories of what would teach the wrong thing
mod gguf; // stories of models that llama.cpp runs
mod going_on; // stories of adapters that training goes on with
mod preferences; // stories of answers of which one is wanted
mod grpo; // stories of answers that are rewarded
mod units; // unit files, as systemd reads them
