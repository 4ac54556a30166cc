//! Reads the text of a condition. What follows is always decided by the next word or sign, so that
//! nothing is read twice and whatever does not fit is refused where it stands. Both the text and the
//! condition it makes are bounded in depth, so that neither can exhaust the stack.

use winnow::Parser;
use winnow::combinator::{alt, delimited, opt, terminated};
use winnow::error::EmptyError;
use winnow::stream::{LocatingSlice, Location};
use winnow::token::take_while;

use crate::{Condition, ConditionError, Credits, Timestamp};

use super::function::Function;
use super::refusal::{Arity, Fault, Refusal};
use super::{Node, plain};

/// Reads a whole text. `None` for the empty one.
pub(super) fn condition(text: &str) -> Result<Option<Node>, ConditionError> {
    if text.is_empty() {
        return Ok(None);
    }
    whole(text).map(Some).map_err(|refusal| ConditionError::new(text, refusal))
}

/// That the condition of `text` takes this many `bytes` in its canonical form, which is too much.
pub(super) fn longer_when_printed(text: &str, bytes: usize) -> ConditionError {
    let fault = Fault::TooLongInFull(bytes);
    ConditionError::new(text, Refusal { offset: text.len(), fault })
}

fn whole(text: &str) -> Result<Node, Refusal> {
    if text.len() > Condition::TEXT_BYTES_MAX {
        let offset = text.floor_char_boundary(Condition::TEXT_BYTES_MAX);
        return Err(Refusal { offset, fault: Fault::TooLong(text.len()) });
    }
    let mut reader = Reader { rest: LocatingSlice::new(text), parentheses: 0 };
    reader.take(white_space);
    let Tree { node, .. } = reader.expression()?;
    if reader.offset() < text.len() {
        return Err(reader.refuse(Fault::Expected("`and`, `or` or the end")));
    }
    Ok(node)
}

type Rest<'text> = LocatingSlice<&'text str>;

fn white_space<'text>(rest: &mut Rest<'text>) -> Result<&'text str, EmptyError> {
    take_while(0.., char::is_whitespace).parse_next(rest)
}

fn word<'text>(rest: &mut Rest<'text>) -> Result<&'text str, EmptyError> {
    let inside = |sign: char| !sign.is_whitespace() && !matches!(sign, '(' | ')' | ',' | '"');
    take_while(1.., inside).parse_next(rest)
}

fn quoted<'text>(rest: &mut Rest<'text>) -> Result<&'text str, EmptyError> {
    delimited('"', take_while(0.., |sign| sign != '"'), '"').parse_next(rest)
}

/// A condition that was read, and how deep it is.
struct Tree {
    node: Node,
    depth: usize,
}

/// What was given to a function, and where it starts.
struct Argument<T> {
    offset: usize,
    item: T,
}

/// A text or a number.
enum Value<'text> {
    Quoted(&'text str),
    Bare(&'text str),
}

/// A function with all that was given to it.
struct Call<T> {
    function: Function,
    arguments: Vec<Argument<T>>,
    /// Where its closing parenthesis is.
    close: usize,
}

/// What is left of the text. It starts with a word or a sign, never with white space.
struct Reader<'text> {
    rest: Rest<'text>,
    /// How many parentheses are open.
    parentheses: usize,
}

impl<'text> Reader<'text> {
    fn offset(&self) -> usize {
        self.rest.current_token_start()
    }

    fn refuse(&self, fault: Fault) -> Refusal {
        Refusal { offset: self.offset(), fault }
    }

    /// What `parser` reads from the front, and the white space behind it; or nothing at all.
    fn take<T>(&mut self, parser: impl Parser<Rest<'text>, T, EmptyError>) -> Option<T> {
        opt(terminated(parser, white_space)).parse_next(&mut self.rest).ok().flatten()
    }

    fn open(&mut self, otherwise: Fault) -> Result<(), Refusal> {
        let offset = self.offset();
        self.take('(').ok_or(Refusal { offset, fault: otherwise })?;
        self.parentheses = self.parentheses.saturating_add(1);
        checked_depth(offset, self.parentheses)
    }

    fn close(&mut self, expected: &'static str) -> Result<(), Refusal> {
        self.take(')').ok_or_else(|| self.refuse(Fault::Expected(expected)))?;
        self.parentheses = self.parentheses.saturating_sub(1);
        Ok(())
    }

    fn expression(&mut self) -> Result<Tree, Refusal> {
        self.chain(Function::Or, Node::Or, |reader| {
            reader.chain(Function::And, Node::And, Self::operand)
        })
    }

    /// One or more of what `link` reads, with the name of `operator` between them.
    fn chain(
        &mut self,
        operator: Function,
        join: fn(Vec<Node>) -> Node,
        link: impl Fn(&mut Self) -> Result<Tree, Refusal>,
    ) -> Result<Tree, Refusal> {
        let offset = self.offset();
        let mut trees = vec![link(self)?];
        while self.take(word.verify(|word: &str| word == operator.name())).is_some() {
            trees.push(link(self)?);
        }
        match <[Tree; 1]>::try_from(trees) {
            Ok([only]) => Ok(only),
            Err(trees) => joined(offset, trees, join),
        }
    }

    fn operand(&mut self) -> Result<Tree, Refusal> {
        let offset = self.offset();
        if let Some(name) = self.take(word) {
            let function = Function::named(name)
                .ok_or_else(|| Refusal { offset, fault: Fault::UnknownFunction(excerpt(name)) })?;
            return self.call(offset, function);
        }
        self.open(Fault::Expected("a function or `(`"))?;
        let tree = self.expression()?;
        self.close("`and`, `or` or `)`")?;
        Ok(tree)
    }

    /// What follows the name of `function`, which stands at `offset`.
    fn call(&mut self, offset: usize, function: Function) -> Result<Tree, Refusal> {
        self.open(Fault::NotCalled(function))?;
        let node = match function {
            Function::And => return self.several(offset, function, Node::And),
            Function::Or => return self.several(offset, function, Node::Or),
            Function::Not => return self.not(offset, function),
            Function::MatchUser => Node::MatchUser(self.texts(function)?),
            Function::BelongTo => Node::BelongTo(self.texts(function)?),
            Function::GithubStar => self.one(function, |name| Ok(Node::GithubStar(name.text())))?,
            Function::RegisterBefore => {
                self.one(function, |time| time.moment().map(Node::RegisterBefore))?
            }
            Function::AccessAfter => {
                self.one(function, |time| time.moment().map(Node::AccessAfter))?
            }
            Function::QuotaLe => self.quota_le(function)?,
            Function::IsVip => self.one(function, |level| level.whole().map(Node::IsVip))?,
            Function::True => self.none(function, Node::True)?,
            Function::False => self.none(function, Node::False)?,
        };
        above(offset, 0, node)
    }

    fn several(
        &mut self,
        offset: usize,
        function: Function,
        join: fn(Vec<Node>) -> Node,
    ) -> Result<Tree, Refusal> {
        joined(offset, self.conditions(function)?.at_least(2)?, join)
    }

    fn not(&mut self, offset: usize, function: Function) -> Result<Tree, Refusal> {
        let [Argument { item: Tree { node, depth }, .. }] = self.conditions(function)?.exactly()?;
        above(offset, depth, Node::Not(Box::new(node)))
    }

    fn texts(&mut self, function: Function) -> Result<Vec<String>, Refusal> {
        Ok(self.values(function)?.at_least(1)?.iter().map(Value::text).collect())
    }

    fn quota_le(&mut self, function: Function) -> Result<Node, Refusal> {
        let [model, limit] = self.values(function)?.exactly()?;
        Ok(Node::QuotaLe { model: model.text(), limit: limit.credits()? })
    }

    fn one(
        &mut self,
        function: Function,
        make: impl FnOnce(Argument<Value<'text>>) -> Result<Node, Refusal>,
    ) -> Result<Node, Refusal> {
        let [argument] = self.values(function)?.exactly()?;
        make(argument)
    }

    fn none(&mut self, function: Function, node: Node) -> Result<Node, Refusal> {
        let [] = self.values(function)?.exactly()?;
        Ok(node)
    }

    /// The arguments of `function`, which are conditions, and its closing parenthesis.
    fn conditions(&mut self, function: Function) -> Result<Call<Tree>, Refusal> {
        let mut arguments = Vec::new();
        loop {
            self.skip_commas();
            let offset = self.offset();
            if self.rest.is_empty() || self.rest.starts_with(')') {
                self.close("a condition or `)`")?;
                return Ok(Call { function, arguments, close: offset });
            }
            arguments.push(Argument { offset, item: self.expression()? });
        }
    }

    /// The arguments of `function`, which are texts and numbers, and its closing parenthesis.
    fn values(&mut self, function: Function) -> Result<Call<Value<'text>>, Refusal> {
        let mut arguments = Vec::new();
        loop {
            let separated = self.skip_commas() || arguments.is_empty();
            let offset = self.offset();
            let value = if separated { self.value()? } else { None };
            let Some(item) = value else {
                self.close(if separated { "an argument or `)`" } else { "`,` or `)`" })?;
                return Ok(Call { function, arguments, close: offset });
            };
            arguments.push(Argument { offset, item });
        }
    }

    fn value(&mut self) -> Result<Option<Value<'text>>, Refusal> {
        let value = self.take(alt((quoted.map(Value::Quoted), word.map(Value::Bare))));
        if value.is_none() && self.rest.starts_with('"') {
            return Err(self.refuse(Fault::OpenQuote));
        }
        Ok(value)
    }

    /// Whether there were any.
    fn skip_commas(&mut self) -> bool {
        let before = self.offset();
        while self.take(',').is_some() {}
        self.offset() > before
    }
}

impl<T> Call<T> {
    fn exactly<const COUNT: usize>(self) -> Result<[Argument<T>; COUNT], Refusal> {
        let Self { function, arguments, close } = self;
        arguments.try_into().map_err(|arguments: Vec<_>| {
            Call { function, arguments, close }.refused(Arity::Exactly(COUNT))
        })
    }

    fn at_least(self, count: usize) -> Result<Vec<T>, Refusal> {
        if self.arguments.len() < count {
            return Err(self.refused(Arity::AtLeast(count)));
        }
        Ok(self.arguments.into_iter().map(|argument| argument.item).collect())
    }

    /// Where the first argument too many is, or where one is missing.
    fn refused(&self, expected: Arity) -> Refusal {
        let Self { function, arguments, close } = self;
        let offset = arguments.get(expected.number()).map_or(*close, |argument| argument.offset);
        let fault = Fault::WrongArity { function: *function, expected, got: arguments.len() };
        Refusal { offset, fault }
    }
}

impl Value<'_> {
    fn text(&self) -> String {
        match self {
            Self::Quoted(text) | Self::Bare(text) => (*text).to_owned(),
        }
    }
}

impl Argument<Value<'_>> {
    fn text(&self) -> String {
        self.item.text()
    }

    fn refuse(&self, fault: Fault) -> Refusal {
        Refusal { offset: self.offset, fault }
    }

    fn moment(&self) -> Result<Timestamp, Refusal> {
        match self.item {
            // The comparison leaves out what RFC 3339 has and this does not: fractions and leap
            // seconds.
            Value::Quoted(text) => Timestamp::parse(&format!("{}Z", text.replacen(' ', "T", 1)))
                .ok()
                .filter(|moment| {
                    plain(*moment) == text && text.len() == "YYYY-MM-DD HH:MM:SS".len()
                })
                .ok_or_else(|| self.refuse(Fault::NotTime(excerpt(text)))),
            Value::Bare(text) => Err(self.refuse(Fault::BareTime(excerpt(text)))),
        }
    }

    fn number(&self) -> Result<&str, Refusal> {
        match self.item {
            Value::Bare(text) => Ok(text),
            Value::Quoted(text) => Err(self.refuse(Fault::QuotedNumber(excerpt(text)))),
        }
    }

    fn whole(&self) -> Result<i64, Refusal> {
        let text = self.number()?;
        text.parse()
            .ok()
            .filter(|_| !text.starts_with('+'))
            .ok_or_else(|| self.refuse(Fault::NotWhole(excerpt(text))))
    }

    fn credits(&self) -> Result<Credits, Refusal> {
        Credits::parse(self.number()?).map_err(|error| self.refuse(Fault::NotCredits(error)))
    }
}

/// A function of conditions, at `offset`.
fn joined(offset: usize, trees: Vec<Tree>, join: fn(Vec<Node>) -> Node) -> Result<Tree, Refusal> {
    let deepest = trees.iter().map(|tree| tree.depth).max().unwrap_or(0);
    above(offset, deepest, join(trees.into_iter().map(|tree| tree.node).collect()))
}

/// A function, at `offset`, of arguments that are `depth` deep.
fn above(offset: usize, depth: usize, node: Node) -> Result<Tree, Refusal> {
    let depth = depth.saturating_add(1);
    checked_depth(offset, depth)?;
    Ok(Tree { node, depth })
}

fn checked_depth(offset: usize, depth: usize) -> Result<(), Refusal> {
    if depth > Condition::DEPTH_MAX {
        return Err(Refusal { offset, fault: Fault::TooDeep });
    }
    Ok(())
}

/// As much of a wrong value as a message should repeat.
fn excerpt(text: &str) -> String {
    text.chars().take(40).collect()
}
