//! Makes Rust of the protocol buffers. Needs no `protoc`.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

const FILES: [&str; 3] =
    ["arcana/product/v1/product_service.proto", "google/rpc/error_details.proto", "google/type/money.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = Path::new(&env::var("OUT_DIR")?).join("descriptors.binpb");
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true).open_files(FILES)?;
    fs::write(&descriptors, compiler.encode_file_descriptor_set())?;
    connectrpc_build::Config::new()
        .files(&FILES)
        .descriptor_set(descriptors)
        .include_file("proto.rs")
        .emit_rerun_directives(false)
        .compile()?;
    Ok(())
}
