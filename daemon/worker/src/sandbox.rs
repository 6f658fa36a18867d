//! What a worker may reach once it is about to open what strangers made: the kernel refuses the
//! rest, whoever in the process asks, a parser that was fooled or a plugin. Landlock has the files,
//! seccomp the system calls.
//!
//! Closed before there is a second thread, since threads inherit it. The hub alone needs a network:
//! `prepare` cuts it off as soon as no model has to be fetched any more.

use anyhow::{Context, Result, bail};
use finetuned_hub::Environment;
use finetuned_job::recipe::Recipe;
use finetuned_job::spec::{Action, Device, Sandbox, Spec};
use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope, make_bitflags, path_beneath_rules,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The newest that we know; of an older kernel we take what it has.
const LANDLOCK: ABI = ABI::V6;
/// For a reader: no execution, no device's control calls.
const READ: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir});
/// In the run folder: ordinary files and folders, no links, pipes or devices.
const WRITE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
    ReadFile | ReadDir | WriteFile | RemoveDir | RemoveFile | MakeDir | MakeReg | Refer | Truncate
});
/// Libraries and what they ask of the machine when they start.
const SYSTEM: &[&str] = &[
    "/lib",
    "/lib32",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/share/zoneinfo",
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/etc/localtime",
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/filesystems",
    "/proc/sys/kernel/random",
    "/proc/sys/vm",
    "/sys/devices/system",
    "/sys/fs/cgroup",
    "/sys/kernel/mm",
    "/dev/urandom",
    "/dev/random",
    "/dev/zero",
];
/// How a name becomes an address.
const NAMES: &[&str] = &[
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/run/systemd/resolve",
    "/run/nscd",
];
/// Where the driver's device is, the rest of CUDA is as well.
const GPU: &str = "/dev/nvidiactl";
const CUDA: &[&str] =
    &["/proc/driver/nvidia", "/proc/devices", "/proc/modules", "/sys", "/usr/local/cuda"];
/// A pattern names a folder of models, and a model has folders with configs.
const LINKS_DEPTH: u32 = 2;
/// Of entries of a folder that are looked at.
const LINKS_MAX: usize = 1000;
/// The calls of 32-bit pointers in 64-bit processes: the same table at another place.
const X32: i64 = 0x4000_0000;

/// Closes this process in. What it could not have is a warning.
///
/// # Errors
/// The configuration requires what this kernel lacks.
pub(crate) fn close(spec: &Spec) -> Result<Option<String>> {
    let is_jobs = matches!(spec.action, Action::Train | Action::Prove | Action::Check);
    if spec.sandbox == Sandbox::Off || !is_jobs {
        return Ok(None);
    }
    let env = Environment::of_process();
    let files = close_files(spec, &env).context("Landlock");
    let calls = apply(&forbidden(env.offline)).context("seccomp");
    let lack = match (files, calls) {
        (Ok(()), Ok(())) => return Ok(None),
        (Err(why), Ok(())) | (Ok(()), Err(why)) => format!("{why:#}"),
        (Err(files), Err(calls)) => format!("{files:#}, {calls:#}"),
    };
    let message = format!("the worker is not closed in: {lack}");
    if spec.sandbox == Sandbox::Required {
        bail!("{message}; `sandbox` in config.toml requires it")
    }
    Ok(Some(message))
}

/// From here on no thread of the process gets a socket.
pub(crate) fn cut_network(spec: &Spec) -> Result<()> {
    if spec.sandbox == Sandbox::Off {
        return Ok(());
    }
    let sockets = both(libc::SYS_socket, &[]).into_iter().collect();
    let cut = apply(&sockets).context("cutting the network off");
    cut.or_else(|err| if spec.sandbox == Sandbox::Required { Err(err) } else { Ok(()) })
}

/// What the kernel has of Landlock: a number that grows, 0 for none.
pub(crate) fn landlock_version() -> i64 {
    const VERSION: libc::c_int = 1;
    // SAFETY: asked for its version, the call takes no memory.
    let version = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0usize, VERSION)
    };
    version.max(0)
}

fn close_files(spec: &Spec, env: &Environment) -> Result<()> {
    let cache = spec.features.as_ref().map(|it| it.folder.clone());
    // A proof loads what training has fetched.
    let hub = env.cache.clone().filter(|_| !env.offline && !matches!(spec.action, Action::Prove));
    // A rule is about what exists. Whoever can't make it now could not later.
    for folder in cache.iter().chain(&hub) {
        let _ = fs::create_dir_all(folder);
    }
    let files = AccessFs::ReadFile | AccessFs::WriteFile;
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(LANDLOCK))?
        .scope(Scope::from_all(LANDLOCK))?
        .create()?
        .add_rules(path_beneath_rules(readable(spec, env), READ))?
        .add_rules(path_beneath_rules(cache.iter().chain([&spec.run]), WRITE))?
        .add_rules(path_beneath_rules(["/dev/null"], files))?
        // Snapshots of models are links to their files.
        .add_rules(path_beneath_rules(&hub, WRITE | AccessFs::MakeSym))?;
    if spec.device != Device::Cpu && Path::new(GPU).exists() {
        let devices = files | AccessFs::ReadDir | AccessFs::IoctlDev;
        ruleset = ruleset
            .add_rules(path_beneath_rules(CUDA, READ))?
            .add_rules(path_beneath_rules(gpu_devices(), devices))?;
    }
    match ruleset.restrict_self()?.ruleset {
        RulesetStatus::NotEnforced => bail!("this kernel has none"),
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
    }
}

fn readable(spec: &Spec, env: &Environment) -> BTreeSet<PathBuf> {
    let mut paths: BTreeSet<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
    paths.extend(libraries());
    paths.extend(spec.drop.clone());
    let plugins = spec.plugins.iter().map(|it| it.folder.clone());
    let bases = bound_bases(spec).into_iter().chain(env.cache.clone());
    let allowed = spec.bases.iter().filter_map(|it| prefix(it, env.home.as_deref()));
    for folder in plugins.chain(bases).chain(allowed) {
        // Whoever may read everything needs no links.
        if folder != Path::new("/") {
            linked(&folder, LINKS_DEPTH, &mut paths);
        }
        paths.insert(folder);
    }
    if !env.offline {
        paths.extend(NAMES.iter().map(PathBuf::from));
        paths.extend(Environment::certificates());
    }
    paths
}

/// Where links in a folder of the machine's owner lead: a model may lie in another cache, as links
/// itself.
fn linked(folder: &Path, depth: u32, paths: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten().take(LINKS_MAX) {
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_file() {
            continue;
        }
        let Ok(real) = entry.path().canonicalize() else { continue };
        if 0 < depth && real.is_dir() {
            linked(&real, depth - 1, paths);
        }
        if kind.is_symlink() {
            paths.insert(real);
        }
    }
}

/// Folders of the libraries that this process has, and those that the loader is told of.
fn libraries() -> Vec<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let files = maps.lines().filter_map(|line| Some(Path::new(&line[line.find('/')?..])));
    let searched = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let searched = std::env::split_paths(&searched).filter(|it| it.is_absolute());
    files.filter_map(|it| Some(it.parent()?.to_path_buf())).chain(searched).collect()
}

/// Folders of models that the recipe of the inbox names; where one is an adapter, also the one that
/// its config names.
fn bound_bases(spec: &Spec) -> Vec<PathBuf> {
    let Some(bound) = &spec.recipe else { return Vec::new() };
    let Ok(recipe) = Recipe::parse(&bound.text) else { return Vec::new() };
    let near = bound.file.parent().unwrap_or(Path::new("."));
    let folder = |model: &str| finetuned_hub::folder(model, near);
    let named = recipe.model.base.as_deref().into_iter().chain(recipe.reward_models());
    let own: Vec<PathBuf> = named.filter_map(folder).collect();
    let beneath = own.iter().filter_map(|it| finetuned_hub::beneath(it, near).ok().flatten());
    let beneath: Vec<PathBuf> = beneath.filter_map(|it| folder(&it)).collect();
    own.into_iter().chain(beneath).collect()
}

/// The folder in which everything lies that a pattern of base models allows; none for the hub's.
fn prefix(pattern: &str, home: Option<&Path>) -> Option<PathBuf> {
    let fixed = &pattern[..pattern.find(['*', '?']).unwrap_or(pattern.len())];
    let folder = match fixed.len() == pattern.len() {
        true => fixed,
        // Whoever allows everything has allowed every folder.
        false if fixed.is_empty() => "/",
        false => &fixed[..=fixed.rfind('/')?],
    };
    match (folder.strip_prefix("~/"), home) {
        (Some(below), Some(home)) => Some(home.join(below)),
        _ => folder.starts_with('/').then(|| folder.into()),
    }
}

fn gpu_devices() -> Vec<PathBuf> {
    let listing = fs::read_dir("/dev").into_iter().flatten().flatten();
    let is_gpus = |it: &fs::DirEntry| it.file_name().to_string_lossy().starts_with("nvidia");
    listing.filter(is_gpus).map(|it| it.path()).collect()
}

/// What no reader, model or plugin has a use for: other programs and processes, the machine's
/// settings, ways around the rest of the rules. `network`: sockets as well.
fn forbidden(network: bool) -> BTreeMap<i64, Vec<SeccompRule>> {
    const CALLS: &[libc::c_long] = &[
        libc::SYS_execve,
        libc::SYS_execveat,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_pidfd_getfd,
        libc::SYS_kcmp,
        libc::SYS_io_uring_setup,
        libc::SYS_io_uring_enter,
        libc::SYS_io_uring_register,
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_userfaultfd,
        libc::SYS_keyctl,
        libc::SYS_add_key,
        libc::SYS_request_key,
        libc::SYS_open_by_handle_at,
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_move_mount,
        libc::SYS_open_tree,
        libc::SYS_fsopen,
        libc::SYS_fsmount,
        libc::SYS_mount_setattr,
        libc::SYS_pivot_root,
        libc::SYS_chroot,
        libc::SYS_swapon,
        libc::SYS_swapoff,
        libc::SYS_init_module,
        libc::SYS_finit_module,
        libc::SYS_delete_module,
        libc::SYS_kexec_load,
        libc::SYS_kexec_file_load,
        libc::SYS_reboot,
        libc::SYS_settimeofday,
        libc::SYS_clock_settime,
        // Landlock says nothing of owners, modes and attributes, nor old ones of lengths.
        libc::SYS_truncate,
        libc::SYS_fchmodat,
        libc::SYS_fchmodat2,
        libc::SYS_fchownat,
        libc::SYS_fchown,
        libc::SYS_fsetxattr,
        libc::SYS_fremovexattr,
        libc::SYS_tkill,
        libc::SYS_setxattr,
        libc::SYS_lsetxattr,
        libc::SYS_removexattr,
        libc::SYS_lremovexattr,
        libc::SYS_setpriority,
        libc::SYS_ioprio_set,
        libc::SYS_pidfd_send_signal,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_chmod,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_chown,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_lchown,
    ];
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        CALLS.iter().flat_map(|it| both(*it, &[])).collect();
    let signals =
        [libc::SYS_kill, libc::SYS_tgkill, libc::SYS_rt_sigqueueinfo, libc::SYS_rt_tgsigqueueinfo];
    rules.extend(signals.into_iter().flat_map(|it| both(it, &to_others())));
    rules.extend(both(libc::SYS_socket, &if network { vec![] } else { families() }));
    rules
}

/// A call, and the same for 32-bit pointers.
fn both(call: libc::c_long, rules: &[SeccompRule]) -> [(i64, Vec<SeccompRule>); 2] {
    [call, call | X32].map(|it| (it, rules.to_vec()))
}

/// A signal to another process than this one.
fn to_others() -> Vec<SeccompRule> {
    let own = std::process::id().into();
    let other = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, own);
    other.and_then(|it| SeccompRule::new(vec![it])).into_iter().collect()
}

/// What is neither the internet nor the way to a name's address.
fn families() -> Vec<SeccompRule> {
    let others = [libc::AF_INET, libc::AF_INET6, libc::AF_UNIX, libc::AF_NETLINK].map(|family| {
        SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, family as u64)
    });
    let conditions: Result<Vec<SeccompCondition>, _> = others.into_iter().collect();
    conditions.and_then(SeccompRule::new).into_iter().collect()
}

/// For every thread.
fn apply(rules: &BTreeMap<i64, Vec<SeccompRule>>) -> Result<()> {
    let refuse = SeccompAction::Errno(libc::EPERM as u32);
    let machine = std::env::consts::ARCH.try_into()?;
    let filter = SeccompFilter::new(rules.clone(), SeccompAction::Allow, refuse, machine)?;
    let program: BpfProgram = filter.try_into()?;
    Ok(seccompiler::apply_filter_all_threads(&program)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_opens_the_folder_that_it_names() {
        let home = Path::new("/home/ada");
        let of = |pattern| prefix(pattern, Some(home)).map(|it| it.display().to_string());
        assert_eq!(of("hf:*"), None);
        assert_eq!(of("hf:ada/x"), None);
        assert_eq!(of("/srv/models/*").unwrap(), "/srv/models/");
        assert_eq!(of("/srv/models/b?rt").unwrap(), "/srv/models/");
        assert_eq!(of("/srv/models/bert").unwrap(), "/srv/models/bert");
        assert_eq!(of("*").unwrap(), "/");
        assert_eq!(of("~/models/*").unwrap(), "/home/ada/models/");
        assert_eq!(of("bert/*"), None);
    }

    #[test]
    fn where_an_owners_links_lead_is_found() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("models/bert/1_Pooling")).unwrap();
        fs::write(root.join("blob"), "").unwrap();
        let link = root.join("models/bert/model.safetensors");
        std::os::unix::fs::symlink("../../blob", link).unwrap();
        std::os::unix::fs::symlink("nowhere", root.join("models/broken")).unwrap();
        let mut paths = BTreeSet::new();
        linked(&root.join("models"), LINKS_DEPTH, &mut paths);
        assert_eq!(paths, BTreeSet::from([root.join("blob")]));
        // A whole model may be a link, to a folder of links.
        fs::create_dir(root.join("allowed")).unwrap();
        std::os::unix::fs::symlink(root.join("models/bert"), root.join("allowed/bert")).unwrap();
        let mut paths = BTreeSet::new();
        linked(&root.join("allowed"), LINKS_DEPTH, &mut paths);
        assert_eq!(paths, BTreeSet::from([root.join("blob"), root.join("models/bert")]));
    }

    #[test]
    fn the_certificates_of_this_machine_may_be_read() {
        let usual = Path::new("/etc/ssl/certs/ca-certificates.crt");
        if !usual.exists() {
            return eprintln!("skipped: there are no certificates in {}", usual.display());
        }
        let paths = Environment::certificates();
        let real = usual.canonicalize().unwrap();
        assert!(
            paths.iter().filter_map(|it| it.canonicalize().ok()).any(|it| real.starts_with(it))
        );
    }

    #[test]
    fn the_folders_of_our_own_libraries_are_found() {
        let ours = std::env::current_exe().unwrap();
        assert!(libraries().contains(&ours.parent().unwrap().to_path_buf()));
    }
}
