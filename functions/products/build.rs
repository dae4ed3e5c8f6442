//! Makes Rust of the protocol buffers. Needs no `protoc`.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

use connectrpc_build::CodeGenConfig;

const FILES: [&str; 3] =
    ["arcana/product/v1/product_service.proto", "google/rpc/error_details.proto", "google/type/money.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = Path::new(&env::var("OUT_DIR")?).join("descriptors.binpb");
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true).open_files(FILES)?;
    fs::write(&descriptors, compiler.encode_file_descriptor_set())?;
    let mut messages = CodeGenConfig::default();
    // As JSON of REST: a name that is none is told, not passed over.
    messages.message_attributes.push((".".to_owned(), "#[serde(deny_unknown_fields)]".to_owned()));
    connectrpc_build::Config::new()
        .buffa_config(messages)
        .generate_json(true)
        .files(&FILES)
        .descriptor_set(descriptors)
        .include_file("proto.rs")
        .emit_rerun_directives(false)
        .compile()?;
    Ok(())
}
