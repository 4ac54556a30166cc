//! A small mail server on a real socket: it keeps the letters that it takes, and refuses as it is told
//! to.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::eventually;

/// A letter as it was taken.
#[derive(Debug, Clone)]
pub struct Letter {
    pub from: String,
    pub to: String,
    /// Headers and body.
    pub text: String,
}

impl Letter {
    /// A header on one line; empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        let start = format!("{name}: ");
        self.text.lines().find_map(|line| line.strip_prefix(&start)).unwrap_or_default()
    }

    /// What comes after the headers.
    pub fn body(&self) -> &str {
        self.text.split_once("\n\n").map_or("", |(_, body)| body)
    }
}

#[derive(Default)]
struct Shared {
    letters: Mutex<Vec<Letter>>,
    /// What the next letters are answered instead of being taken, each once.
    refusals: Mutex<VecDeque<String>>,
    attempts: Mutex<usize>,
}

/// A running mail server. It ends when this is dropped.
pub struct MailServer {
    shared: Arc<Shared>,
    port: u16,
    serving: JoinHandle<()>,
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl MailServer {
    /// Starts one that takes everything.
    pub async fn start() -> Self {
        Self::start_at(0).await
    }

    /// The same, at this port.
    pub async fn start_at(port: u16) -> Self {
        let shared = Arc::<Shared>::default();
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let conversations = Arc::clone(&shared);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&conversations);
                tokio::spawn(async move { drop(converse(stream, &shared).await) });
            }
        });
        Self { shared, port, serving }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// Answers the next letter like this, instead of taking it.
    pub fn refuse_next(&self, answer: &str) {
        self.shared.refusals.lock().push_back(answer.to_owned());
    }

    /// How many letters were handed in, taken or not.
    pub fn attempts(&self) -> usize {
        *self.shared.attempts.lock()
    }

    /// Waits until so many letters are taken, and gives them.
    pub async fn gets(&self, count: usize) -> Vec<Letter> {
        eventually("letters arrive", async || {
            let letters = self.shared.letters.lock().clone();
            if letters.len() >= count {
                Ok(letters)
            } else {
                Err(format!("{} of {count}", letters.len()))
            }
        })
        .await
    }
}

async fn converse(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let (reading, mut writing) = stream.into_split();
    let mut lines = BufReader::new(reading).lines();
    writing.write_all(b"220 mail.test ready\r\n").await?;
    let (mut from, mut to) = (String::new(), String::new());
    while let Some(line) = lines.next_line().await? {
        let word = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let answer = match word.as_str() {
            "EHLO" | "HELO" => "250 mail.test".to_owned(),
            "MAIL" => {
                from = address(&line);
                "250 fine".to_owned()
            }
            "RCPT" => {
                to = address(&line);
                "250 fine".to_owned()
            }
            "DATA" => {
                writing.write_all(b"354 go on\r\n").await?;
                let mut text = String::new();
                while let Some(line) = lines.next_line().await? {
                    if line == "." {
                        break;
                    }
                    text.push_str(line.strip_prefix('.').unwrap_or(&line));
                    text.push('\n');
                }
                *shared.attempts.lock() += 1;
                let refusal = shared.refusals.lock().pop_front();
                if refusal.is_none() {
                    let letter = Letter { from: from.clone(), to: to.clone(), text };
                    shared.letters.lock().push(letter);
                }
                refusal.unwrap_or_else(|| "250 taken".to_owned())
            }
            "QUIT" => {
                writing.write_all(b"221 bye\r\n").await?;
                return Ok(());
            }
            "RSET" | "NOOP" => "250 fine".to_owned(),
            _ => "500 what".to_owned(),
        };
        writing.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
    Ok(())
}

/// What stands between the angle brackets.
fn address(line: &str) -> String {
    let rest = line.split_once('<').map_or("", |(_, rest)| rest);
    rest.split('>').next().unwrap_or_default().to_owned()
}
