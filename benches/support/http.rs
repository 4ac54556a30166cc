//! As little HTTP as a load needs: requests that are patched and not built, answers that are
//! measured and not parsed.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::company::Random;
use super::service::API_KEY;

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    /// Status line and headers.
    pub(crate) head: String,
    /// The body.
    pub(crate) body: Vec<u8>,
}

/// The bytes of a request, and where the ids in it stand, which must be others in every request.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    ids: Vec<usize>,
}

/// A `GET`.
pub(crate) fn get(path: &str) -> Template {
    let bytes =
        format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nx-api-key: {API_KEY}\r\n\r\n").into();
    Template { bytes, ids: Vec::new() }
}

/// A `POST` of JSON in which the ids `ids` are to be replaced.
pub(crate) fn post(path: &str, body: &str, ids: &[String]) -> anyhow::Result<Template> {
    let text = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nx-api-key: {API_KEY}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let places: Option<Vec<usize>> = ids.iter().map(|id| text.find(id.as_str())).collect();
    Ok(Template { ids: places.context("an id is not in the body")?, bytes: text.into_bytes() })
}

impl Template {
    /// The request with ids of its own, that follow from `number`.
    fn render(&self, number: u64, request: &mut Vec<u8>) {
        request.clear();
        request.extend_from_slice(&self.bytes);
        let mut random = Random::new(number.wrapping_mul(0xd134_2543_de82_ef95));
        for place in &self.ids {
            if let Some(id) = request.get_mut(*place..place + 36) {
                write_uuid(random.next(), random.next(), id);
            }
        }
    }
}

/// Lower-case hexadecimal with the hyphens of a UUID.
fn write_uuid(high: u64, low: u64, text: &mut [u8]) {
    let mut digits = (u128::from(high) << 64) | u128::from(low);
    for (place, byte) in text.iter_mut().enumerate() {
        if matches!(place, 8 | 13 | 18 | 23) {
            continue;
        }
        let digit = u8::try_from(digits & 0xf).unwrap_or(0);
        *byte = if digit < 10 { b'0' + digit } else { b'a' + digit - 10 };
        digits >>= 4;
    }
}

/// Sends one request on a connection of its own.
pub(crate) fn once(address: SocketAddr, template: &Template) -> anyhow::Result<Answer> {
    let mut request = Vec::new();
    // The loads count from the other end.
    template.render(u64::MAX - template.ids.len() as u64, &mut request);
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(&request)?;
    let mut received = Vec::new();
    let mut piece = vec![0; 16 * 1024];
    loop {
        if let Some((head, length)) = head_of(&received)?
            && received.len() >= head + length
        {
            let text = String::from_utf8_lossy(received.get(..head).unwrap_or_default());
            let body = received.get(head..head + length).unwrap_or_default().to_vec();
            return Ok(Answer { status: status_of(&received)?, head: text.into_owned(), body });
        }
        match stream.read(&mut piece)? {
            0 => bail!("the server closed the connection"),
            bytes => received.extend_from_slice(piece.get(..bytes).unwrap_or_default()),
        }
    }
}

/// A header's value.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// Where the body begins and how long it is; `None` while the head is not whole.
fn head_of(received: &[u8]) -> anyhow::Result<Option<(usize, usize)>> {
    let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(received.get(..end).unwrap_or_default())?;
    let length = header(head, "content-length")
        .with_context(|| format!("an answer without `content-length`: {head}"))?;
    Ok(Some((end + 4, length.parse()?)))
}

fn status_of(received: &[u8]) -> anyhow::Result<u16> {
    let digits = received.get(9..12).context("an answer without a status")?;
    Ok(std::str::from_utf8(digits)?.parse()?)
}

/// What a load did.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// Answered requests.
    pub(crate) requests: u64,
    /// How long each took, the shortest first.
    pub(crate) times: Vec<Duration>,
}

/// Numbers requests, so that no two have the same ids.
#[derive(Debug, Clone, Default)]
pub(crate) struct Numbers(Arc<AtomicU64>);

impl Numbers {
    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// Sends requests after each other over each of `connections` for `time`.
pub(crate) async fn load(
    address: SocketAddr,
    templates: &Arc<Vec<Template>>,
    numbers: &Numbers,
    connections: usize,
    time: Duration,
) -> anyhow::Result<Done> {
    let deadline = Instant::now() + time;
    let mut tasks = Vec::new();
    for _ in 0..connections {
        let mut connection = Connection::open(address).await?;
        let (templates, numbers) = (Arc::clone(templates), numbers.clone());
        tasks.push(tokio::spawn(async move {
            let mut times = Vec::new();
            while Instant::now() < deadline {
                let started = Instant::now();
                connection.send(&templates, numbers.next()).await?;
                times.push(started.elapsed());
            }
            anyhow::Ok(times)
        }));
    }
    let mut done = Done::default();
    for task in tasks {
        done.times.extend(task.await??);
    }
    done.requests = u64::try_from(done.times.len())?;
    done.times.sort_unstable();
    Ok(done)
}

/// Sends `rate` requests a second over one connection, as far as it can, until `until`, whatever else goes on; gives
/// how many it sent.
pub(crate) async fn steady(
    address: SocketAddr,
    templates: Arc<Vec<Template>>,
    numbers: Numbers,
    rate: u64,
    until: Instant,
) -> anyhow::Result<u64> {
    let mut connection = Connection::open(address).await?;
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    let mut sent = 0;
    let started = Instant::now();
    while Instant::now() < until {
        ticks.tick().await;
        let due = u64::try_from(started.elapsed().as_millis())? * rate / 1000;
        while sent < due && Instant::now() < until {
            connection.send(&templates, numbers.next()).await?;
            sent += 1;
        }
    }
    Ok(sent)
}

/// A kept-alive connection.
struct Connection {
    stream: tokio::net::TcpStream,
    request: Vec<u8>,
    received: Vec<u8>,
}

impl Connection {
    async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = tokio::net::TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, request: Vec::new(), received: Vec::with_capacity(16 * 1024) })
    }

    /// Sends the `number`-th request and reads its answer, which must be a success.
    async fn send(&mut self, templates: &[Template], number: u64) -> anyhow::Result<()> {
        let place = usize::try_from(number)? % templates.len();
        let template = templates.get(place).context("there are no requests")?;
        template.render(number, &mut self.request);
        self.stream.write_all(&self.request).await?;
        self.received.clear();
        loop {
            if self.stream.read_buf(&mut self.received).await? == 0 {
                bail!("the server closed the connection");
            }
            if let Some((head, length)) = head_of(&self.received)?
                && self.received.len() >= head + length
            {
                break;
            }
        }
        let status = status_of(&self.received)?;
        if !(200..300).contains(&status) {
            bail!("answered {status}: {}", String::from_utf8_lossy(&self.received));
        }
        Ok(())
    }
}
