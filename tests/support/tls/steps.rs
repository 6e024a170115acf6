//! A handshake, record by record, that may stop anywhere.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    ops::{Deref, DerefMut},
};

use rustls::{ConnectionCommon, SideData};

/// Where in a record it stops; the record itself is counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Before,
    InItsHeader,
    BehindItsHeader,
    InTheMiddle,
    BeforeItsLastByte,
}

pub const PLACES: [Place; 5] = [
    Place::Before,
    Place::InItsHeader,
    Place::BehindItsHeader,
    Place::InTheMiddle,
    Place::BeforeItsLastByte,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    Close,
    Reset,
    /// `close_notify` as far as one can be sent, then close.
    Notify,
}

#[derive(Clone, Copy, Debug)]
pub struct Cut {
    pub record: usize,
    pub place: Place,
}

impl Place {
    fn bytes_of(self, record: &[u8]) -> usize {
        match self {
            Self::Before => 0,
            Self::InItsHeader => 2,
            Self::BehindItsHeader => 5,
            Self::InTheMiddle => record.len() / 2 + 2,
            Self::BeforeItsLastByte => record.len() - 1,
        }
    }
}

/// Drives the handshake of either side. Returns false when it was cut, true
/// when it came to its end before that.
///
/// # Errors
/// What the other side did to it.
pub fn handshake<C, S>(
    connection: &mut C,
    socket: &mut TcpStream,
    cut: Option<Cut>,
) -> io::Result<bool>
where
    C: Deref<Target = ConnectionCommon<S>> + DerefMut,
    S: SideData,
{
    let mut sent = 0;
    loop {
        let mut flight = Vec::new();
        while connection.wants_write() {
            connection.write_tls(&mut flight)?;
        }
        for record in records(&flight) {
            if let Some(cut) = cut.filter(|cut| cut.record == sent) {
                socket.write_all(&record[..cut.place.bytes_of(record)])?;
                return Ok(false);
            }
            socket.write_all(record)?;
            sent += 1;
        }
        if !connection.is_handshaking() {
            return Ok(true);
        }
        read_some(connection, socket)?;
    }
}

/// The records that stand one behind the other in `bytes`.
pub fn records(bytes: &[u8]) -> Vec<&[u8]> {
    let mut rest = bytes;
    let mut records = Vec::new();
    while let [_, _, _, high, low, ..] = *rest {
        let length = 5 + usize::from(u16::from_be_bytes([high, low]));
        let (record, behind) = rest.split_at(length);
        records.push(record);
        rest = behind;
    }
    assert!(rest.is_empty(), "half a record");
    records
}

fn read_some<C, S>(connection: &mut C, socket: &mut TcpStream) -> io::Result<()>
where
    C: Deref<Target = ConnectionCommon<S>> + DerefMut,
    S: SideData,
{
    if connection.read_tls(socket)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    connection.process_new_packets().map_err(io::Error::other)?;
    Ok(())
}

/// Ends the connection the given way, and hears the other side out unless it
/// was reset.
pub fn leave(mut socket: TcpStream, how: Leave) {
    match how {
        Leave::Reset => return reset(socket),
        // An alert in plain: before the keys it is one, behind them garbage.
        // Whether it is still wanted is for the other side to say.
        Leave::Notify => drop(socket.write_all(&[21, 3, 3, 0, 2, 1, 0])),
        Leave::Close => (),
    }
    // It may have closed first.
    let _ = socket.shutdown(Shutdown::Write);
    let mut heard = Vec::new();
    match socket.read_to_end(&mut heard) {
        Ok(_) => (),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => (),
        Err(error) => panic!("it is neither answered nor closed: {error}"),
    }
}

pub fn reset(socket: TcpStream) {
    socket2::SockRef::from(&socket).set_linger(Some(std::time::Duration::ZERO)).unwrap();
}
