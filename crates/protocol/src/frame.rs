//! Messages on a stream: the length as four bytes (little endian), then JSON. A length beyond the limit ends the
//! conversation: whoever sends it does not keep to it.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Bytes of a question: a reason and a list of ids fit in easily.
pub const QUESTION_MAX: u32 = 256 << 10;
/// Bytes of an answer: the largest page of a list.
pub const ANSWER_MAX: u32 = 32 << 20;

/// Reads a message; `None` at the end of the stream between two.
///
/// # Errors
/// The stream fails, ends within a message, or holds something that is no message of this kind.
pub async fn read<T: DeserializeOwned>(
    stream: &mut (impl AsyncRead + Unpin),
    max: u32,
) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    let first = stream.read(&mut length).await?;
    if first == 0 {
        return Ok(None);
    }
    let rest = length.get_mut(first..).unwrap_or_default();
    stream.read_exact(rest).await?;
    let length = u32::from_le_bytes(length);
    if length > max {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a message of {length} bytes; at most {max} are taken"),
        ));
    }
    let mut body = Vec::new();
    // Reserved as it comes, never by what it says it is.
    stream.take(length.into()).read_to_end(&mut body).await?;
    if body.len() != usize::try_from(length).unwrap_or(usize::MAX) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    serde_json::from_slice(&body)
        .map(Some)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Writes a message.
///
/// # Errors
/// The stream fails, or the message is too long: then nothing was written.
pub async fn write<T: Serialize + Sync>(
    stream: &mut (impl AsyncWrite + Unpin),
    message: &T,
    max: u32,
) -> io::Result<()> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message)?;
    let length = u32::try_from(bytes.len().saturating_sub(4)).unwrap_or(u32::MAX);
    if length > max {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("a message of {length} bytes; at most {max} can be sent"),
        ));
    }
    for (place, byte) in bytes.iter_mut().zip(length.to_le_bytes()) {
        *place = byte;
    }
    stream.write_all(&bytes).await?;
    stream.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_written_is_read_one_after_the_other() {
        let (mut a, mut b) = tokio::io::duplex(64);
        let long = "가".repeat(1000);
        let sent = long.clone();
        let writing = tokio::spawn(async move {
            write(&mut a, &sent, ANSWER_MAX).await.unwrap();
            write(&mut a, &7, ANSWER_MAX).await.unwrap();
        });
        assert_eq!(read::<String>(&mut b, ANSWER_MAX).await.unwrap(), Some(long));
        assert_eq!(read::<u8>(&mut b, ANSWER_MAX).await.unwrap(), Some(7));
        assert_eq!(read::<u8>(&mut b, ANSWER_MAX).await.unwrap(), None);
        writing.await.unwrap();
    }

    #[tokio::test]
    async fn too_long_torn_and_senseless_messages_are_refused() {
        let mut huge: &[u8] = &[255, 255, 255, 255, b'1'];
        assert!(read::<u8>(&mut huge, QUESTION_MAX).await.is_err());
        let mut torn: &[u8] = &[9, 0, 0, 0, b'1'];
        assert!(read::<u8>(&mut torn, QUESTION_MAX).await.is_err());
        let mut head: &[u8] = &[9, 0];
        assert!(read::<u8>(&mut head, QUESTION_MAX).await.is_err());
        let mut text: &[u8] = &[1, 0, 0, 0, b'x'];
        assert!(read::<u8>(&mut text, QUESTION_MAX).await.is_err());
        let mut nothing = Vec::new();
        assert!(write(&mut nothing, &"abc", 3).await.is_err());
        assert!(nothing.is_empty());
    }
}
