//! Compiles the protocol's messages for gRPC, without `protoc`. It does not know the server.

use std::{env, error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(["inference.proto"], ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    // For reflection: a client asks the server itself what it can be asked.
    fs::write(out.join("inference.bin"), prost::Message::encode_to_vec(&descriptors))?;
    // Tensors keep the memory of the message that they came in.
    tonic_prost_build::configure()
        .bytes(".inference")
        .codec_path("crate::grpc::codec::GuardedCodec")
        .compile_fds(descriptors)?;
    Ok(())
}
