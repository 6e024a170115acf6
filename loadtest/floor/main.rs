//! The floor of a machine: the least that monoio and this kernel ask for
//! passing bytes on. It understands nothing: each client gets a backend
//! connection of its own, and what comes on one side goes out on the other.
//!
//!     floor --listen 127.0.0.1:8080 --to 127.0.0.1:8000
//!
//! `loadtest/compare` runs it beside the proxies. What a proxy costs above it
//! is what its understanding, pooling and guarding cost; what the floor costs
//! beside nginx is what this machine and this kernel allow at all.
//!
//! One thread, and the ring flags that the proxy tries first.

use std::{io, net::SocketAddr};

use anyhow::Context;
use clap::Parser;
use monoio::{
    io::{AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt, Splitable},
    net::{TcpListener, TcpStream},
};

#[derive(Parser)]
#[command(about = "Passes bytes on and understands nothing: the floor of a machine")]
struct Arguments {
    #[arg(long)]
    listen: SocketAddr,
    #[arg(long)]
    to: SocketAddr,
}

const BUFFER_BYTES: usize = 16 << 10;

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let mut ring = io_uring::IoUring::builder();
    ring.setup_single_issuer().setup_defer_taskrun();
    let mut runtime = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new()
        .uring_builder(ring)
        .build()
        .context("this needs io_uring with SINGLE_ISSUER and DEFER_TASKRUN")?;
    runtime.block_on(accept(arguments))
}

async fn accept(arguments: Arguments) -> anyhow::Result<()> {
    let listener = TcpListener::bind(arguments.listen)?;
    loop {
        let (client, _) = listener.accept().await?;
        monoio::spawn(async move {
            // A connection that fails ends, and the generator says so.
            let _ = connect(client, arguments.to).await;
        });
    }
}

async fn connect(client: TcpStream, to: SocketAddr) -> io::Result<()> {
    let backend = TcpStream::connect_addr(to).await?;
    client.set_nodelay(true)?;
    backend.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_backend, to_backend) = backend.into_split();
    monoio::spawn(async move {
        let _ = pump(from_backend, to_client).await;
    });
    pump(from_client, to_backend).await
}

async fn pump<R, W>(mut from: R, mut to: W) -> io::Result<()>
where
    R: AsyncReadRent,
    W: AsyncWriteRent,
{
    let mut buffer = Vec::with_capacity(BUFFER_BYTES);
    loop {
        let result;
        (result, buffer) = from.read(buffer).await;
        if result? == 0 {
            return to.shutdown().await;
        }
        let sent;
        (sent, buffer) = to.write_all(buffer).await;
        sent?;
    }
}
