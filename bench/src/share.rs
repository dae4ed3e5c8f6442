//! A share of a CPU, as Lambda gives it to a size of memory.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::Result;

/// The memory that comes with one whole CPU, in MB
/// (<https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html>).
const WHOLE: u64 = 1_769;
/// How long a share is reckoned over, in microseconds: 20 ms are what others have measured at Lambda.
const PERIOD: u64 = 20_000;

/// A control group that holds processes to a share. Dropped, it is removed: its processes have to be gone.
pub(crate) struct Share(PathBuf);

impl Share {
    /// The share that comes with `memory` MB.
    pub(crate) fn of(memory: u32) -> Result<Self> {
        let quota = PERIOD * u64::from(memory) / WHOLE;
        let name = format!("arcana-bench-{}-{memory}", std::process::id());
        let made = v2(&name, quota).or_else(|_| v1(&name, quota)).map(Self);
        Ok(made.map_err(|error| format!("no control group can be made, which takes root: {error}"))?)
    }

    /// Holds a process to the share from now on.
    pub(crate) fn hold(&self, process: u32) -> Result<()> {
        Ok(set(&self.0.join("cgroup.procs"), &process.to_string())?)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        // An empty group left behind does no harm.
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// <https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files>
fn v2(name: &str, quota: u64) -> std::io::Result<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    set(&root.join("cgroup.subtree_control"), "+cpu")?;
    made(root.join(name), &[("cpu.max", format!("{quota} {PERIOD}"))])
}

/// <https://docs.kernel.org/scheduler/sched-bwc.html>
fn v1(name: &str, quota: u64) -> std::io::Result<PathBuf> {
    let settings = [("cpu.cfs_period_us", PERIOD.to_string()), ("cpu.cfs_quota_us", quota.to_string())];
    made(Path::new("/sys/fs/cgroup/cpu").join(name), &settings)
}

fn made(group: PathBuf, settings: &[(&str, String)]) -> std::io::Result<PathBuf> {
    std::fs::create_dir(&group)?;
    for (file, value) in settings {
        if let Err(error) = set(&group.join(file), value) {
            std::fs::remove_dir(&group)?;
            return Err(error);
        }
    }
    Ok(group)
}

/// Writes to a file that the kernel has: anywhere else, one that is made would say that all is well.
fn set(file: &Path, value: &str) -> std::io::Result<()> {
    OpenOptions::new().write(true).open(file)?.write_all(value.as_bytes())
}
