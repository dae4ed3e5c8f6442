//! An emulator for the tests to kill: runs the function at the path given, prints
//! the process id, and has the process busy from then on.

use std::time::Duration;

use local_aws::lambda::{Binary, Pool, RuntimeApi};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("the path of a function")?;
    let api = RuntimeApi::start().await?;
    let binary = Binary { timeout: Duration::from_mins(1), ..Binary::new("probe", path) };
    let pool = Pool::new(&api, binary);
    let warm = pool.invoke(r#"{"do":"echo"}"#.into(), "warm").await?;
    let busy = tokio::spawn(async move { pool.invoke(r#"{"do":"block"}"#.into(), "busy").await });
    // By then, the function does not listen to its Runtime API any more.
    tokio::time::sleep(Duration::from_millis(300)).await;
    println!("{}", warm.pid);
    busy.await??;
    Ok(())
}
