mod assignment;
mod attempt;
mod bulletin;
mod claim;
mod config;
mod home;
mod inbox;
mod machine;
mod observe;
mod poke;
mod queue;
mod recovery;
mod run_facts;
mod run_lock;
mod settle;
mod supervisor;
mod wake;
mod watch;
mod worker_process;
fn main() {
    let home = home::Home::new(config::home(None).unwrap());
    let c = config::Config::load(&home.root).unwrap();
    supervisor::serve(home, c).unwrap();
}
