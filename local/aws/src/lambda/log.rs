//! The lines that a process writes, passed on as they come.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::task::JoinHandle;

use crate::lambda::binary::Binary;

/// The longest line in one piece: what a log event of CloudWatch takes.
const MAX_LINE: u64 = 256 * 1024;

/// How many lines of output are kept to explain a process that does not start.
const TAIL_LINES: usize = 10;

/// The last lines of a stream.
#[derive(Clone, Default)]
pub(crate) struct Tail(Arc<Mutex<VecDeque<String>>>);

impl Tail {
    fn push(&self, line: &str) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == TAIL_LINES {
            lines.pop_front();
        }
        lines.push_back(line.to_owned());
    }

    /// The lines, joined.
    pub(crate) fn text(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

/// Passes on each line of a stream until it ends, which it does with the process.
pub(crate) fn follow(
    stream: impl AsyncRead + Unpin + Send + 'static,
    binary: Arc<Binary>,
    tail: Tail,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        while let Ok(1..) = (&mut stream).take(MAX_LINE).read_until(b'\n', &mut line).await {
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end_matches(['\n', '\r']);
            tail.push(text);
            (binary.log)(&binary.name, text);
            line.clear();
        }
    })
}
