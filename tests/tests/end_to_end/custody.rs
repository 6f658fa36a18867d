//! Whose data are whose: a database that is lost, restored or damaged, drops that can't be moved,
//! recipes of strangers. After each: no drop lost or mistaken for another, nothing read that is not
//! the dropper's.

use crate::attempt::{sentences, tiny_bert};
use crate::sandbox::{LONG, QUICK, Sandbox, is_checkpoint, mounts_of_its_own, ok, skipped};
use finetuned_job::run_folder;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

fn weights(run: &Path) -> Vec<u8> {
    fs::read(run.join("model/model.safetensors")).expect("a finished model")
}

/// As the message about a damaged database advises.
fn move_the_database_away(sandbox: &Sandbox) {
    for name in ["finetuned.db", "finetuned.db-wal", "finetuned.db-shm"] {
        let file = sandbox.home().join(name);
        if file.exists() {
            fs::rename(&file, sandbox.home().join(format!("away-{name}"))).unwrap();
        }
    }
}

#[test]
fn an_inbox_whose_disk_is_unmounted_is_closed_until_it_is_back() {
    let mut sandbox = Sandbox::new(QUICK);
    sandbox.serve_in(mounts_of_its_own(), "mount -t tmpfs tmpfs \"$1/inbox\"");
    let status = || sandbox.status()["daemon"].clone();
    sandbox.wait_until("it says who it is", |_| status().is_object());
    let inside = |script: &str| {
        let mut command = std::process::Command::new("nsenter");
        if !rustix::process::geteuid().is_root() {
            command.args(["--user", "--preserve-credentials"]);
        }
        let pid = status()["pid"].to_string();
        command.args(["--mount", "--target", &pid, "--", "sh", "-ec", script, "sh"]);
        ok(command.arg(sandbox.inbox()));
    };
    inside("umount \"$1\"");
    let closed = || status()["inboxes"][0]["unclaimable"].as_str().unwrap_or_default().to_string();
    sandbox.wait_until("it is closed", |_| closed().starts_with("nothing is mounted there"));
    sandbox.drop_rows("bare.csv", 60);
    inside("mount -t tmpfs tmpfs \"$1\"; printf 'text,label\\na,b\\n' >\"$1/one.csv\"");
    sandbox.wait_for_state(1, "failed");
    assert_eq!((sandbox.job(1)["name"].clone(), closed()), ("one.csv".into(), String::new()));
    assert!(sandbox.inbox().join("bare.csv").exists(), "nobody took it from below the mount");
    inside("umount \"$1\"");
    sandbox.wait_until("it is closed again", |_| !closed().is_empty());
    sandbox.reload();
    sandbox.wait_for_state(2, "done");
}

#[test]
fn a_lost_database_is_rebuilt_and_no_run_is_mistaken_for_another() {
    let mut sandbox = Sandbox::new(QUICK).serving();
    sandbox.drop_rows("tweets.csv", 60);
    sandbox.wait_for_state(1, "done");
    fs::write(sandbox.inbox().join("one.csv"), "text,label\ngood,a\nbetter,a\n").unwrap();
    sandbox.wait_for_state(2, "failed");
    sandbox.stop_daemon();
    let before = weights(&sandbox.run(1));
    move_the_database_away(&sandbox);
    sandbox.serve();
    assert_eq!([sandbox.state(1), sandbox.state(2)], ["done", "failed"]);
    // Another data set under the same name.
    fs::write(sandbox.inbox().join("tweets.csv"), sentences(80, 99)).unwrap();
    sandbox.wait_for_state(3, "done");
    assert_eq!(sandbox.run(3), sandbox.home().join("runs/0003-tweets"));
    let drop = |job| fs::read_to_string(sandbox.run(job).join("drop/tweets.csv")).unwrap();
    assert_eq!([drop(1), drop(3)], [sentences(60, 7), sentences(80, 99)]);
    assert!(weights(&sandbox.run(1)) == before && weights(&sandbox.run(3)) != before);
}

#[test]
fn a_restored_database_knows_every_run_again() {
    let mut sandbox = Sandbox::new(LONG).serving();
    sandbox.wait_until("it has a database", |it| it.home().join("finetuned.db").exists());
    sandbox.stop_daemon();
    let (database, backup) =
        (sandbox.home().join("finetuned.db"), sandbox.home().join("backup.db"));
    fs::copy(&database, &backup).unwrap();
    sandbox.serve();
    sandbox.drop_rows("a.csv", 400);
    sandbox.wait_for(1, is_checkpoint);
    sandbox.stop_daemon();
    move_the_database_away(&sandbox);
    fs::copy(&backup, &database).unwrap();
    sandbox.serve();
    sandbox.drop_rows("a.csv", 60);
    sandbox.wait_for_state(1, "done");
    sandbox.wait_for_state(2, "done");
    let rows =
        |job| fs::read_to_string(sandbox.run(job).join("drop/a.csv")).unwrap().lines().count();
    assert_eq!([rows(1), rows(2)], [401, 61]);
}

#[test]
fn a_folder_of_another_job_is_left_alone() {
    let mut sandbox = Sandbox::new(QUICK).serving();
    sandbox.drop_rows("a.csv", 60);
    sandbox.wait_for_state(1, "done");
    sandbox.drop_rows("b.csv", 60);
    sandbox.wait_for_state(2, "done");
    sandbox.stop_daemon();
    // The folder of a job of another number, and a copy of a folder that has its row.
    let run = sandbox.run(2);
    let copy = sandbox.home().join("runs/0009-copy");
    assert!(
        Command::new("cp").arg("-a").arg(sandbox.run(1)).arg(&copy).status().unwrap().success()
    );
    move_the_database_away(&sandbox);
    fs::rename(&run, sandbox.home().join("runs/0003-c")).unwrap();
    sandbox.serve();
    sandbox.wait_for_state(3, "done");
    fs::write(sandbox.inbox().join("c.csv"), sentences(70, 5)).unwrap();
    sandbox.wait_for_state(10, "done");
    assert_eq!(sandbox.status()["jobs"].as_array().unwrap().len(), 3);
    let adopted = sandbox.home().join("runs/0003-c");
    assert!(!adopted.join("drop/c.csv").exists() && adopted.join(run_folder::DONE).exists());
}

/// A folder on another file system than the home, as a second inbox; it goes with the value.
fn far_inbox(sandbox: &Sandbox, recipe: &str) -> Option<tempfile::TempDir> {
    let Ok(far) = tempfile::tempdir_in("/dev/shm") else {
        skipped("no second file system at /dev/shm");
        return None;
    };
    let file = sandbox.home().parent().unwrap().join("recipe.toml");
    let inbox = format!("[[inbox]]\npath = {:?}\nrecipe = {file:?}\n", far.path());
    sandbox.configure(recipe, &inbox);
    Some(far)
}

fn rows(sandbox: &Sandbox, job: u64) -> u64 {
    let text = fs::read(sandbox.run(job).join(run_folder::DATA)).expect("data.json");
    let data: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    data["files"].as_array().expect("files").iter().map(|it| it["rows"].as_u64().unwrap()).sum()
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}

#[test]
fn a_stalled_copy_is_not_taken_on_either_side_of_a_file_system() {
    let mut sandbox = Sandbox::new(QUICK);
    let Some(far) = far_inbox(&sandbox, QUICK) else { return };
    sandbox.serve();
    let text = sentences(80, 7);
    let half = text.len() / 2;
    let near = sandbox.inbox();
    let mut files: Vec<File> = [("near.csv", &*near), ("far.csv", far.path())]
        .map(|(name, inbox)| File::create(inbox.join(name)).unwrap())
        .into();
    for file in &mut files {
        file.write_all(&text.as_bytes()[..half]).unwrap();
    }
    // Much longer than `settle_s`.
    sleep(Duration::from_secs(2));
    assert_eq!(sandbox.status()["jobs"].as_array().unwrap().len(), 0);
    assert!(sandbox.ok(&["status"]).contains("is open for writing"));
    for mut file in files {
        file.write_all(&text.as_bytes()[half..]).unwrap();
    }
    for job in [1, 2] {
        sandbox.wait_for_state(job, "done");
        assert_eq!(rows(&sandbox, job), 80);
    }
    sandbox.wait_until("the original is gone", |_| is_empty(far.path()));
}

/// The original stays, hidden, until its job is over; killed anywhere, there is one job and one
/// copy.
#[test]
fn a_far_drop_is_one_job_however_often_its_daemon_is_killed() {
    const LONGER: &str = "[train]\nepochs = 60\nlr = 3e-3\npatience = 0\n[save]\nevery_steps = 5\n";
    let mut sandbox = Sandbox::new(LONGER);
    let Some(far) = far_inbox(&sandbox, LONGER) else { return };
    let drop = far.path().join("far");
    fs::create_dir(&drop).unwrap();
    fs::write(drop.join("train.csv"), sentences(200, 7)).unwrap();
    fs::write(drop.join("ballast.bin"), vec![7; 64 << 20]).unwrap();
    for pause in [20, 310, 340, 360, 380, 420, 700, 1500] {
        sandbox.serve();
        sleep(Duration::from_millis(pause));
        sandbox.kill_daemon();
    }
    sandbox.serve();
    sandbox.wait_for_state(1, "running");
    let hidden: Vec<_> = fs::read_dir(far.path()).unwrap().map(|it| it.unwrap().path()).collect();
    assert_eq!(hidden.len(), 1, "{hidden:?}");
    assert!(hidden[0].file_name().unwrap().to_str().unwrap().starts_with(".finetuned-0001-far-"));
    assert_eq!(fs::read_to_string(hidden[0].join("train.csv")).unwrap(), sentences(200, 7));
    sandbox.wait_for_state(1, "done");
    sandbox.wait_until("the original is gone", |_| is_empty(far.path()));
    assert_eq!(sandbox.status()["jobs"].as_array().unwrap().len(), 1);
    let copy = sandbox.run(1).join("drop/far");
    assert_eq!(fs::read(copy.join("ballast.bin")).unwrap(), vec![7; 64 << 20]);
    assert_eq!(fs::read_dir(sandbox.run(1).join("drop")).unwrap().count(), 1);
}

#[test]
fn a_name_of_255_bytes_comes_from_another_file_system() {
    let mut sandbox = Sandbox::new(QUICK);
    let Some(far) = far_inbox(&sandbox, QUICK) else { return };
    sandbox.serve();
    let name = format!("{}.csv", "x".repeat(251));
    fs::write(far.path().join(&name), sentences(60, 7)).unwrap();
    sandbox.wait_for_state(1, "done");
    assert!(sandbox.run(1).join("drop").join(&name).exists());
}

#[test]
fn a_drop_without_room_waits_where_it_is_and_says_so() {
    let mut sandbox = Sandbox::new(QUICK);
    let Some(far) = far_inbox(&sandbox, QUICK) else { return };
    let config = sandbox.home().join("config.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("reserve = '1000 TB'\n{text}")).unwrap();
    sandbox.serve();
    fs::write(far.path().join("big.csv"), sentences(60, 7)).unwrap();
    sandbox.wait_until("it is named", |it| {
        it.job(1)["reason"].as_str().is_some_and(|it| it.contains("are kept in reserve"))
    });
    sleep(Duration::from_secs(3));
    assert_eq!(sandbox.log().matches("copying /dev/shm").count(), 1, "{}", sandbox.log());
    assert!(is_empty(&sandbox.run(1).join("drop")));
    fs::write(&config, text).unwrap();
    sandbox.reload();
    sandbox.wait_for_state(1, "done");
}

#[test]
fn a_folder_renamed_while_it_was_empty_is_read_whole() {
    let sandbox = Sandbox::new(QUICK).serving();
    let drop = sandbox.inbox().join("reviews");
    fs::create_dir(sandbox.inbox().join("New folder")).unwrap();
    sleep(Duration::from_millis(50));
    fs::rename(sandbox.inbox().join("New folder"), &drop).unwrap();
    for part in 0..4 {
        fs::write(drop.join(format!("part{part}.csv")), sentences(30, part)).unwrap();
        sleep(Duration::from_millis(200));
    }
    sandbox.wait_for_state(1, "done");
    assert_eq!(rows(&sandbox, 1), 120);
    assert!(!sandbox.log().contains("still changes"), "{}", sandbox.log());
}

#[test]
fn a_file_under_way_deep_inside_holds_the_drop_back() {
    let sandbox = Sandbox::new(QUICK).serving();
    let drop = sandbox.inbox().join("reviews");
    fs::create_dir_all(drop.join("more")).unwrap();
    fs::write(drop.join("a.csv"), sentences(60, 1)).unwrap();
    fs::write(drop.join("Thumbs.db"), "x").unwrap();
    let partial = drop.join("more/.b.csv.aB3xYz");
    fs::write(&partial, sentences(20, 2)).unwrap();
    for litter in ["Thumbs.db", "desktop.ini"] {
        fs::write(sandbox.inbox().join(litter), "x").unwrap();
    }
    sandbox.wait_until("it is named", |it| {
        it.ok(&["status"]).contains("it waits for more/.b.csv.aB3xYz")
    });
    sleep(Duration::from_secs(1));
    assert_eq!(sandbox.state(1), "absent");
    fs::rename(&partial, drop.join("more/b.csv")).unwrap();
    sandbox.wait_for_state(1, "done");
    assert_eq!(rows(&sandbox, 1), 80);
    assert!(sandbox.inbox().join("Thumbs.db").exists());
}

/// For setpriv(1).
const NOBODY: &str = "65534";

#[track_caller]
fn shell(script: &str, args: &[&Path]) -> bool {
    Command::new("sh").args(["-ec", script, "sh"]).args(args).status().unwrap().success()
}

#[test]
fn a_drop_of_another_user_is_copied_and_one_that_cannot_be_read_is_named() {
    if !rustix::process::geteuid().is_root() {
        return skipped("only root can make files of two users");
    }
    let mut sandbox = Sandbox::new(QUICK);
    let folder = sandbox.home().parent().unwrap().to_path_buf();
    let (home, inbox) = (sandbox.home(), sandbox.inbox());
    assert!(shell("chown -R 65534:65534 \"$1\"; chmod 755 \"$1\"", &[&folder]));
    sandbox.serve_as(NOBODY);
    // As scp and Samba leave them: the folder is its owner's, and the daemon's user may read it.
    let drop = inbox.join("theirs");
    fs::create_dir(&drop).unwrap();
    fs::write(drop.join("a.csv"), sentences(60, 7)).unwrap();
    fs::write(inbox.join("secret.csv"), sentences(60, 7)).unwrap();
    fs::set_permissions(inbox.join("secret.csv"), fs::Permissions::from_mode(0o600)).unwrap();
    sandbox.wait_for_state(1, "done");
    assert_eq!(rows(&sandbox, 1), 60);
    let status = sandbox.ok(&["status"]);
    assert!(status.contains("secret.csv can't be read (Permission denied"), "{status}");
    assert!(status.contains("setgid"), "{status}");
    // What is not the daemon's can't be removed by it: it stays hidden, and is named.
    sandbox.wait_until("what remains is named", |it| {
        it.ok(&["status"]).contains("has been copied and can't be removed")
    });
    sleep(Duration::from_secs(2));
    assert!(inbox.join("secret.csv").exists());
    let theirs = home.join("runs/0001-theirs/drop/theirs");
    assert_eq!(fs::read_to_string(theirs.join("a.csv")).unwrap(), sentences(60, 7));
    fs::set_permissions(inbox.join("secret.csv"), fs::Permissions::from_mode(0o644)).unwrap();
    sandbox.wait_for_state(2, "done");
    assert_eq!(sandbox.status()["jobs"].as_array().unwrap().len(), 2, "no number is burnt");
}

#[test]
fn a_full_disk_behind_stderr_stops_nobody() {
    let mut sandbox = Sandbox::new(QUICK);
    let full = || File::options().write(true).open("/dev/full").expect("/dev/full");
    let check = sandbox.command().args(["check", "/nowhere"]).stderr(full()).status().unwrap();
    assert_eq!(check.code(), Some(1), "an error, and no panic");
    let one = sandbox.home().join("one.csv");
    fs::write(&one, "text,label\ngood,a\n").unwrap();
    let failed = sandbox.command().arg("run").arg(&one).stderr(full()).output().unwrap();
    assert_eq!(failed.status.code(), Some(3), "the job's failure, and no panic");
    sandbox.serve_with_stderr(full());
    sandbox.drop_rows("a.csv", 60);
    sandbox.wait_for_state(1, "done");
    assert!(sandbox.is_alive());
}

#[test]
fn names_of_strangers_forge_no_line() {
    let sandbox = Sandbox::new(QUICK).serving();
    let name = "a\u{1b}[2J\n2026-01-01T00:00:00.000000Z  INFO job 9: done\u{202e}.csv";
    std::os::unix::fs::symlink("/etc/passwd", sandbox.inbox().join(format!("{name}.link")))
        .unwrap();
    fs::write(sandbox.inbox().join(name), sentences(60, 7)).unwrap();
    sandbox.wait_for_state(1, "done");
    sandbox.wait_until("the link is named", |it| it.ok(&["status"]).contains("symbolic link"));
    let answers = ["status", "show 1", "logs 1", "status --json", "show 1 --json", "logs 1 --json"]
        .map(|it| sandbox.ok(&it.split(' ').collect::<Vec<_>>()));
    for printed in answers.iter().chain([&sandbox.log()]) {
        assert!(!printed.contains(['\u{1b}', '\u{202e}']), "{printed}");
        assert!(!printed.lines().any(|it| it.trim_start().starts_with("2026-01-01")), "{printed}");
    }
    assert!(answers[0].contains("a\\u{1b}[2J\\n2026"), "{}", answers[0]);
}

#[test]
fn inboxes_that_meet_are_refused_and_doctor_says_so() {
    let sandbox = Sandbox::new(QUICK);
    sandbox.configure(QUICK, "[[inbox]]\npath = 'inbox/../inbox/deeper'\n");
    for command in ["serve", "doctor"] {
        let output = sandbox.finetuned(&[command]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let printed = [output.stdout, output.stderr].concat();
        let printed = String::from_utf8_lossy(&printed);
        assert!(printed.contains("a drop would be taken twice"), "{printed}");
    }
}

#[test]
fn a_job_has_its_time_and_a_silent_worker_is_killed() {
    let sandbox = Sandbox::new("[train]\nepochs = 9000\npatience = 0\n");
    let settings = |it: &str| {
        let text = fs::read_to_string(sandbox.home().join("config.toml")).unwrap();
        fs::write(sandbox.home().join("config.toml"), format!("{it}\n{text}")).unwrap();
    };
    settings("job_hours = 0.002");
    let sandbox = sandbox.serving();
    sandbox.drop_rows("a.csv", 60);
    sandbox.wait_for_state(1, "failed");
    let job = sandbox.job(1);
    assert!(job["reason"].as_str().unwrap().starts_with("it took longer than 7 s"), "{job}");
    assert!(job["reason"].as_str().unwrap().contains("job_hours"), "{job}");

    let mut sandbox = Sandbox::new(LONG);
    let text = fs::read_to_string(sandbox.home().join("config.toml")).unwrap();
    fs::write(sandbox.home().join("config.toml"), format!("silence_minutes = 0.1\n{text}"))
        .unwrap();
    sandbox.serve();
    sandbox.drop_rows("a.csv", 400);
    sandbox.wait_for(1, is_checkpoint);
    sandbox.stop_worker(1);
    sandbox.wait_until("it is killed", |it| it.log().contains("has said nothing for 6 s"));
    sandbox.wait_for_state(1, "done");
    assert_eq!(sandbox.job(1)["crashes"], 1);
}

#[test]
fn checkpoints_go_with_the_proof_and_runs_by_the_rules() {
    let mut sandbox = Sandbox::new(QUICK);
    sandbox.serve();
    for job in 1..=3 {
        sandbox.drop_rows(&format!("a{job}.csv"), 60);
        sandbox.wait_for_state(job, "done");
        assert!(!sandbox.run(job).join(run_folder::CHECKPOINTS).exists());
    }
    assert!(sandbox.ok(&["remove", "2"]).contains("job 2 (0002-a2) is removed"));
    assert_eq!(sandbox.state(2), "absent");
    assert!(!sandbox.home().join("runs/0002-a2").exists());
    assert!(sandbox.ok(&["gc"]).contains("removed 0 B in all"));
    sandbox.stop_daemon();
    let text = fs::read_to_string(sandbox.home().join("config.toml")).unwrap();
    let rules = format!("{text}\n[retention]\nruns = 0\n");
    fs::write(sandbox.home().join("config.toml"), rules).unwrap();
    let plan = sandbox.ok(&["gc", "--dry-run"]);
    assert!(plan.contains("would remove the run of job 1"), "{plan}");
    assert!(!plan.contains("of job 3"), "the newest proven run stays: {plan}");
    sandbox.serve();
    sandbox.wait_until("the rule is obeyed", |it| it.state(1) == "absent");
    assert_eq!(sandbox.state(3), "done");
    sandbox.drop_rows("a4.csv", 60);
    sandbox.wait_for_state(4, "done");
}

#[test]
fn a_running_job_is_not_removed() {
    let sandbox = Sandbox::new(LONG).serving();
    sandbox.drop_rows("a.csv", 400);
    sandbox.wait_for(1, is_checkpoint);
    let refused = sandbox.finetuned(&["remove", "1"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("`finetuned cancel 1` first"));
    assert!(sandbox.run(1).join("drop/a.csv").exists());
}

#[test]
fn a_damaged_database_is_seen_and_restored_from_its_backup() {
    let mut sandbox = Sandbox::new(QUICK).serving();
    sandbox.wait_until("it is backed up", |it| {
        fs::read_dir(it.home().join("backups")).is_ok_and(|it| {
            it.flatten().any(|it| it.file_name().to_string_lossy().starts_with("finetuned-"))
        })
    });
    sandbox.drop_rows("a.csv", 60);
    sandbox.wait_for_state(1, "done");
    sandbox.stop_daemon();
    let database = sandbox.home().join("finetuned.db");
    let mut bytes = fs::read(&database).unwrap();
    // Every page but the first, which says what the file is.
    bytes[4096..].chunks_mut(512).for_each(|it| it[..16].fill(0xA5));
    fs::write(&database, bytes).unwrap();
    for command in ["serve", "doctor"] {
        let output = sandbox.finetuned(&[command]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let printed =
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(printed.contains("is damaged") && printed.contains("backups"), "{printed}");
    }
    move_the_database_away(&sandbox);
    let backups = fs::read_dir(sandbox.home().join("backups")).unwrap();
    let newest = backups.map(|it| it.unwrap().path()).max().unwrap();
    fs::copy(newest, &database).unwrap();
    sandbox.serve();
    assert_eq!(sandbox.state(1), "done");
}

#[test]
fn nobody_else_may_look_into_a_home() {
    let mut sandbox = Sandbox::new(QUICK);
    fs::create_dir(sandbox.home().join("runs")).unwrap();
    fs::set_permissions(sandbox.home().join("runs"), fs::Permissions::from_mode(0o755)).unwrap();
    sandbox.serve();
    sandbox.drop_rows("a.csv", 60);
    sandbox.wait_for_state(1, "done");
    let mode = |path: &Path| fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777;
    for name in ["finetuned.db", "lock", "runs", "daemon.json", "poke.sock", "runs/0001-a", "cache"]
    {
        let path = sandbox.home().join(name);
        assert!(!path.exists() || mode(&path) & 0o077 == 0, "{name}: {:o}", mode(&path));
    }
    assert_eq!(mode(&sandbox.run(1).join("model/model.safetensors")) & 0o077, 0);
    sandbox.stop_daemon();
    let text = fs::read_to_string(sandbox.home().join("config.toml")).unwrap();
    let group = rustix::process::getegid().as_raw();
    fs::write(sandbox.home().join("config.toml"), format!("group = '{group}'\n{text}")).unwrap();
    sandbox.serve();
    sandbox.drop_rows("b.csv", 60);
    sandbox.wait_for_state(2, "done");
    sandbox.wait_until("it is shared", |it| mode(&it.run(2).join(run_folder::DONE)) == 0o640);
    assert_eq!(mode(&sandbox.run(2).join("model/model.safetensors")), 0o640);
    assert_eq!(mode(&sandbox.run(2).join("drop")) & 0o077, 0);
    assert_eq!(mode(&sandbox.run(2).join("worker.log")) & 0o077, 0);
    assert_eq!(mode(&sandbox.home()), 0o710);
}

/// A drop with a recipe of its own, moved in whole; `furnish` adds to it.
fn drop_with_recipe(sandbox: &Sandbox, name: &str, base: &str, furnish: impl FnOnce(&Path)) {
    let folder = sandbox.home().join(name);
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("a.csv"), sentences(60, 7)).unwrap();
    fs::write(folder.join("job.toml"), format!("model.base = {base:?}\n{QUICK}")).unwrap();
    furnish(&folder);
    fs::rename(folder, sandbox.inbox().join(name)).unwrap();
}

fn copy_base(to: &Path) {
    fs::create_dir(to).unwrap();
    for file in fs::read_dir(tiny_bert()).unwrap().map(|it| it.unwrap().path()) {
        fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
    }
}

#[test]
fn a_drops_recipe_reads_the_drop_and_nothing_else() {
    let sandbox = Sandbox::new(QUICK);
    let config = sandbox.home().join("config.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.split("[recipes]").next().unwrap()).unwrap();
    let secret = sandbox.home().join("secret");
    fs::write(&secret, "a secret of the server").unwrap();
    let sandbox = sandbox.serving();
    drop_with_recipe(&sandbox, "within", "base", |it| copy_base(&it.join("base")));
    sandbox.wait_for_state(1, "done");
    drop_with_recipe(&sandbox, "linked", "base", |it| {
        copy_base(&it.join("base"));
        let _ = fs::remove_file(it.join("base/vocab.txt"));
        std::os::unix::fs::symlink(&secret, it.join("base/vocab.txt")).unwrap();
    });
    sandbox.wait_for_state(2, "failed");
    let why = sandbox.job(2)["reason"].to_string();
    assert!(why.contains("base/vocab.txt is a link or no ordinary file"), "{why}");
    let found = Command::new("grep")
        .args(["-rl", "a secret of the server"])
        .arg(sandbox.run(2))
        .args(["--exclude-dir=drop"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
    drop_with_recipe(&sandbox, "folder", "linked", |it| {
        std::os::unix::fs::symlink(tiny_bert(), it.join("linked")).unwrap();
    });
    sandbox.wait_for_state(3, "failed");
    // What there is and what there is not get one answer.
    let (there, nowhere) = (tiny_bert().display().to_string(), "/nowhere/model".to_string());
    for (job, base) in [(4, &there), (5, &nowhere), (6, &"../../../x".into())] {
        drop_with_recipe(&sandbox, &format!("outside{job}"), base, |_| ());
        sandbox.wait_for_state(job, "failed");
        let why = sandbox.job(job)["reason"].as_str().unwrap().replace(base.as_str(), "BASE");
        assert!(
            why.starts_with("the drop's recipe names the base model `BASE`, which is neither in the drop nor among those that drops may name here"),
            "{why}"
        );
        assert!(why.contains("[recipes] bases"), "{why}");
    }
}

#[test]
fn a_pipe_hangs_no_worker_wherever_it_lies() {
    let pipe = |path: &Path| {
        rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::from(0o644)).unwrap()
    };
    let sandbox = Sandbox::new(QUICK).serving();
    drop_with_recipe(&sandbox, "in_base", "base", |it| {
        copy_base(&it.join("base"));
        fs::remove_file(it.join("base/config.json")).unwrap();
        pipe(&it.join("base/config.json"));
    });
    sandbox.wait_for_state(1, "failed");
    let drop = sandbox.home().join("piped");
    fs::create_dir(&drop).unwrap();
    fs::write(drop.join("a.csv"), sentences(60, 7)).unwrap();
    pipe(&drop.join("b.csv"));
    pipe(&drop.join("c"));
    fs::rename(&drop, sandbox.inbox().join("piped")).unwrap();
    sandbox.wait_for_state(2, "done");
    // A base of the machine's owner.
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        let base = sandbox.home().join(format!("base-{name}"));
        copy_base(&base);
        fs::remove_file(base.join(name)).unwrap();
        pipe(&base.join(name));
        let (data, recipe) = sandbox.drop_and_recipe(60, "");
        fs::write(&recipe, format!("model.base = {:?}", base.display().to_string())).unwrap();
        let mut check = Command::new("timeout");
        check.arg("60").arg(sandbox.command().get_program()).arg("check").arg(&data);
        let output = check.arg("--recipe").arg(&recipe).output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{name}: {output:?}");
    }
}

#[test]
fn a_worker_that_outlives_its_daemon_is_killed_and_no_stranger() {
    let mut sandbox = Sandbox::new(LONG);
    let text = fs::read_to_string(sandbox.home().join("config.toml")).unwrap();
    let text = text.replace("stop_timeout_s = 30", "stop_timeout_s = 2");
    fs::write(sandbox.home().join("config.toml"), text).unwrap();
    sandbox.serve();
    sandbox.drop_rows("a.csv", 400);
    sandbox.wait_for(1, is_checkpoint);
    // It hears no signal any more.
    sandbox.stop_worker(1);
    sandbox.kill_daemon();
    sandbox.serve();
    sandbox.wait_until("the old worker is killed", |it| it.log().contains("which still works on"));
    sandbox.wait_for_state(1, "done");
}

#[test]
fn parquet_of_one_long_text_names_the_memory() {
    let sandbox = Sandbox::new("");
    let drop = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/one_long_text.parquet");
    let (_, recipe) = sandbox.drop_and_recipe(60, "");
    let config = fs::read_to_string(sandbox.home().join("config.toml")).unwrap();
    fs::write(sandbox.home().join("config.toml"), format!("memory = '2 GB'\n{config}")).unwrap();
    let output =
        sandbox.finetuned(&["check", drop.to_str().unwrap(), "--recipe", recipe.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(printed.contains("of the memory that a job may have here"), "{printed}");
}

#[test]
fn what_nobody_may_move_is_copied_once_and_left() {
    if !rustix::process::geteuid().is_root() {
        return skipped("only root can make files of two users");
    }
    let mut sandbox = Sandbox::new(QUICK);
    let folder = sandbox.home().parent().unwrap().to_path_buf();
    // A folder like /tmp: everybody writes, and only owners move.
    let script = "chown -R 65534:65534 \"$1\"; chmod 755 \"$1\"; chown 0 \"$2\"; chmod 1777 \"$2\"";
    assert!(shell(script, &[&folder, &sandbox.inbox()]));
    sandbox.serve_as(NOBODY);
    let drop = sandbox.inbox().join("theirs.csv");
    fs::write(&drop, sentences(60, 7)).unwrap();
    sandbox.wait_for_state(1, "done");
    sandbox.wait_until("it is explained", |it| {
        it.ok(&["status"]).contains("job 1 has a copy of it, and it can't be moved away")
    });
    sleep(Duration::from_secs(3));
    assert_eq!(sandbox.status()["jobs"].as_array().unwrap().len(), 1);
    // Another data set under the same name is another job.
    fs::write(&drop, sentences(80, 7)).unwrap();
    sandbox.wait_for_state(2, "done");
    assert_eq!([rows(&sandbox, 1), rows(&sandbox, 2)], [60, 80]);
}

#[test]
fn a_signal_is_heard_while_a_drop_is_copied() {
    let mut sandbox = Sandbox::new(QUICK);
    let Some(far) = far_inbox(&sandbox, QUICK) else { return };
    let home = rustix::fs::statvfs(sandbox.home()).unwrap();
    let bytes = (home.f_bavail * home.f_frsize / 2).min(8 << 30);
    if bytes < 2 << 30 {
        return skipped("under 4 GB of disk are free");
    }
    sandbox.serve();
    let drop = far.path().join("large");
    fs::create_dir(&drop).unwrap();
    fs::write(drop.join("a.csv"), sentences(60, 7)).unwrap();
    // Holes: it takes no memory here, and its copy takes seconds.
    File::create(drop.join("ballast.bin")).unwrap().set_len(bytes).unwrap();
    sandbox.wait_until("it is shown", |it| it.ok(&["status"]).contains("copying  large for job 1"));
    let took = sandbox.stop_daemon();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(!sandbox.log().contains("train in process"), "no worker is started any more");
    assert_eq!(sandbox.state(1), "queued");
    // The rest of it is made again from the original, which is whole.
    let hidden = fs::read_dir(far.path()).unwrap().next().unwrap().unwrap().path();
    File::options().write(true).open(hidden.join("ballast.bin")).unwrap().set_len(1 << 20).unwrap();
    sandbox.serve();
    sandbox.wait_for_state(1, "done");
    assert_eq!(fs::metadata(sandbox.run(1).join("drop/large/ballast.bin")).unwrap().len(), 1 << 20);
}
