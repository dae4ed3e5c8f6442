//! The thread that starts the processes.
//!
//! Linux sends the parent-death signal when the *thread* that started a process
//! ends, not when its whole process does. Threads of an async runtime come and go,
//! so all processes are started by one thread that lives as long as the Runtime API.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc;

use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Sets the parent-death signal and becomes the program that it is given. The pid
/// stays the same.
const SETPRIV: [&str; 4] = ["/usr/bin/setpriv", "--pdeathsig", "KILL", "--"];

struct Job {
    prepare: Box<dyn FnOnce(&mut Command) + Send>,
    program: std::path::PathBuf,
    runtime: Handle,
    done: oneshot::Sender<io::Result<Child>>,
}

/// Starts processes; its thread ends when this is dropped.
pub(crate) struct Spawner {
    jobs: mpsc::Sender<Job>,
}

impl Spawner {
    pub(crate) fn start() -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        std::thread::Builder::new().name("lambda-spawner".to_owned()).spawn(move || {
            let setpriv = setpriv_works();
            for job in queue {
                let mut command = command(&job.program, setpriv);
                (job.prepare)(&mut command);
                let _entered = job.runtime.enter();
                // A process that nobody waits for any more is dropped, that is, killed.
                let _ = job.done.send(command.kill_on_drop(true).spawn());
            }
        })?;
        Ok(Self { jobs })
    }

    /// Starts a program, after `prepare` has set its environment and streams.
    pub(crate) async fn spawn(
        &self,
        program: &Path,
        prepare: impl FnOnce(&mut Command) + Send + 'static,
    ) -> io::Result<Child> {
        let (done, child) = oneshot::channel();
        let job =
            Job { prepare: Box::new(prepare), program: program.to_owned(), runtime: Handle::current(), done };
        self.jobs.send(job).map_err(|_| gone())?;
        child.await.map_err(|_| gone())?
    }
}

fn gone() -> io::Error {
    io::Error::other("the thread that starts processes is gone")
}

fn command(program: &Path, setpriv: bool) -> Command {
    if !setpriv {
        return Command::new(program);
    }
    let [wrapper, arguments @ ..] = SETPRIV;
    let mut command = Command::new(wrapper);
    command.args(arguments).arg(program);
    command
}

/// Whether there is a setpriv that knows the option; that of busybox does not.
fn setpriv_works() -> bool {
    let [wrapper, arguments @ ..] = SETPRIV;
    std::process::Command::new(wrapper)
        .args(arguments)
        .args([wrapper, "--version"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
