//! Lines of text on A4 pages, in the fonts that every reader has. Lengths are whole points.

use pdf_writer::{Content, Finish, Name, Pdf, Rect, Ref, Str, TextStr};

const WIDTH: i16 = 595;
const HEIGHT: i16 = 842;
const MARGIN: i16 = 50;
const REGULAR: Name<'_> = Name(b"R");
const BOLD: Name<'_> = Name(b"B");

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Title,
    Heading,
    Bold,
    Text,
}

impl Style {
    const fn size(self) -> i16 {
        match self {
            Self::Title => 18,
            Self::Heading => 12,
            Self::Bold | Self::Text => 9,
        }
    }

    const fn font(self) -> Name<'static> {
        match self {
            Self::Text => REGULAR,
            Self::Title | Self::Heading | Self::Bold => BOLD,
        }
    }

    /// From the line before to this one.
    const fn leading(self) -> i16 {
        match self {
            Self::Title => 24,
            Self::Heading => 18,
            Self::Bold | Self::Text => 13,
        }
    }
}

/// Where a text stands, from the left margin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    /// It begins there.
    Left(i16),
    /// It ends there.
    Right(i16),
}

/// Pages, being written.
pub(super) struct Paper {
    title: String,
    pages: Vec<Vec<u8>>,
    page: Content,
    /// Where the last line stands, from below.
    height: i16,
    /// What is repeated at the top of a page.
    head: Vec<(String, Align)>,
}

impl Paper {
    pub(super) fn new(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            pages: Vec::new(),
            page: Content::new(),
            height: HEIGHT - MARGIN,
            head: Vec::new(),
        }
    }

    /// A line of texts.
    pub(super) fn line(&mut self, style: Style, texts: &[(&str, Align)]) {
        if self.height - style.leading() < MARGIN {
            self.turn();
        }
        self.height -= style.leading();
        for (text, align) in texts {
            self.text(style, text, *align);
        }
    }

    /// A line of titles, which every page begins with until [`Self::end_repeat`].
    pub(super) fn repeat(&mut self, head: &[(&str, Align)]) {
        self.line(Style::Bold, head);
        self.head = head.iter().map(|(text, align)| ((*text).to_owned(), *align)).collect();
    }

    pub(super) fn end_repeat(&mut self) {
        self.head.clear();
    }

    /// Some space; what follows begins a new page where little is left of this one.
    pub(super) fn gap(&mut self) {
        self.height -= 16;
        if self.height < MARGIN + 60 {
            self.turn();
        }
    }

    fn turn(&mut self) {
        let page = std::mem::replace(&mut self.page, Content::new());
        self.pages.push(page.finish().into_vec());
        self.height = HEIGHT - MARGIN;
        if !self.head.is_empty() {
            let head = std::mem::take(&mut self.head);
            let texts: Vec<(&str, Align)> =
                head.iter().map(|(text, align)| (text.as_str(), *align)).collect();
            self.line(Style::Bold, &texts);
            self.head = head;
        }
    }

    fn text(&mut self, style: Style, text: &str, align: Align) {
        let encoded = win_ansi(text);
        let left = MARGIN
            + match align {
                Align::Left(left) => left,
                Align::Right(right) => right - width(&encoded, style),
            };
        self.page.begin_text();
        self.page.set_font(style.font(), style.size().into());
        self.page.next_line(left.into(), self.height.into());
        self.page.show(Str(&encoded));
        self.page.end_text();
    }

    /// The file.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.pages.push(self.page.finish().into_vec());
        let mut numbers = 1..;
        let mut next = || Ref::new(numbers.next().unwrap_or(i32::MAX));
        let (catalog, tree, info, regular, bold) = (next(), next(), next(), next(), next());
        let leaves: Vec<(Ref, Ref)> = self.pages.iter().map(|_| (next(), next())).collect();

        let mut pdf = Pdf::new();
        pdf.catalog(catalog).pages(tree);
        pdf.document_info(info).title(TextStr(&self.title)).producer(TextStr("Tallybook"));
        let count = i32::try_from(leaves.len()).unwrap_or(i32::MAX);
        pdf.pages(tree).kids(leaves.iter().map(|(page, _)| *page)).count(count);
        for (font, name) in [(regular, "Helvetica"), (bold, "Helvetica-Bold")] {
            pdf.type1_font(font)
                .base_font(Name(name.as_bytes()))
                .encoding_predefined(Name(b"WinAnsiEncoding"));
        }
        for ((leaf, content), (number, bytes)) in leaves.iter().zip((1..).zip(&self.pages)) {
            let mut page = pdf.page(*leaf);
            page.media_box(Rect::new(0.0, 0.0, WIDTH.into(), HEIGHT.into()));
            page.parent(tree).contents(*content);
            page.resources().fonts().pair(REGULAR, regular).pair(BOLD, bold);
            page.finish();
            let mut stream = bytes.clone();
            stream.push(b'\n');
            stream.extend_from_slice(&foot(&format!("{} - {number}/{count}", self.title)));
            pdf.stream(*content, &stream);
        }
        pdf.finish()
    }
}

/// What every page ends with.
fn foot(text: &str) -> Vec<u8> {
    let mut content = Content::new();
    content.begin_text();
    content.set_font(REGULAR, 8.0);
    content.next_line(MARGIN.into(), (MARGIN - 20).into());
    content.show(Str(&win_ansi(text)));
    content.end_text();
    content.finish().into_vec()
}

/// A text of at most this width, in [`Style::Text`]; what is cut ends in dots.
pub(super) fn cut(text: &str, width_max: i16) -> String {
    if width(&win_ansi(text), Style::Text) <= width_max {
        return text.to_owned();
    }
    let mut short = String::new();
    for letter in text.chars() {
        short.push(letter);
        if width(&win_ansi(&format!("{short}...")), Style::Text) > width_max {
            short.pop();
            break;
        }
    }
    short + "..."
}

/// In the encoding of the fonts; a `?` for what they do not have.
fn win_ansi(text: &str) -> Vec<u8> {
    text.chars().map(|letter| byte_of(letter).unwrap_or(b'?')).collect()
}

fn byte_of(letter: char) -> Option<u8> {
    let high = [
        ('€', 0x80),
        ('‚', 0x82),
        ('ƒ', 0x83),
        ('„', 0x84),
        ('…', 0x85),
        ('†', 0x86),
        ('‡', 0x87),
        ('ˆ', 0x88),
        ('‰', 0x89),
        ('Š', 0x8a),
        ('‹', 0x8b),
        ('Œ', 0x8c),
        ('Ž', 0x8e),
        ('‘', 0x91),
        ('’', 0x92),
        ('“', 0x93),
        ('”', 0x94),
        ('•', 0x95),
        ('–', 0x96),
        ('—', 0x97),
        ('˜', 0x98),
        ('™', 0x99),
        ('š', 0x9a),
        ('›', 0x9b),
        ('œ', 0x9c),
        ('ž', 0x9e),
        ('Ÿ', 0x9f),
    ];
    match letter {
        ' '..='~' | '\u{a0}'..='\u{ff}' => u8::try_from(u32::from(letter)).ok(),
        other => high.iter().find(|(present, _)| *present == other).map(|(_, byte)| *byte),
    }
}

/// The width of a text, rounded up to a whole point.
fn width(encoded: &[u8], style: Style) -> i16 {
    let is_bold = style != Style::Text;
    let thousandths = encoded.iter().map(|byte| i64::from(advance(*byte, is_bold))).sum::<i64>();
    let points = (thousandths * i64::from(style.size()) + 999) / 1000;
    i16::try_from(points).unwrap_or(WIDTH)
}

/// The width of a letter in thousandths of the font's size: exact for what numbers are written with,
/// otherwise no less than it is.
const fn advance(byte: u8, is_bold: bool) -> i16 {
    match byte {
        b'.' | b',' | b' ' | b'/' | b'i' | b'j' | b'l' => 278,
        b'-' | b'f' | b't' | b'I' | b'(' | b')' | b':' | b';' => 333,
        b'r' => 389,
        b'0'..=b'9' => 556,
        b'a'..=b'v' | b'x'..=b'z' if byte != b'm' => {
            if is_bold {
                611
            } else {
                556
            }
        }
        b'w' | b'_' | b'A'..=b'Z' if byte != b'M' && byte != b'W' => 778,
        b'm' | b'M' | b'%' => 889,
        b'W' => 944,
        _ => 1015,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_fonts_do_not_have_is_replaced_where_it_can_be_seen() {
        assert_eq!(win_ansi("Zoë € 漢 \u{7f}"), b"Zo\xeb \x80 ? ?");
        assert_eq!(cut("short", 100), "short");
        let cut = cut(&"W".repeat(50), 100);
        assert!(cut.ends_with("W...") && cut.len() < 20, "{cut}");
    }

    #[test]
    fn a_head_is_repeated_on_every_page() {
        let mut paper = Paper::new("t");
        paper.repeat(&[("head", Align::Left(0))]);
        for number in 0..200 {
            paper.line(Style::Text, &[(&number.to_string(), Align::Right(100))]);
        }
        let file = paper.finish();
        let count = |what: &[u8]| file.windows(what.len()).filter(|part| *part == what).count();
        assert_eq!((count(b"(head)"), count(b"/Type /Page\n")), (4, 4));
    }
}
