//! Macros: calls that become trees while an expression is read, because they bind names or look at the form of their arguments.

use super::nodes::{Nodes, TooManyNodes};
use crate::ast::operators::{ADD, AND, CONDITIONAL, EQUALS, MAP_INSERT, NOT, NOT_STRICTLY_FALSE, OR};
use crate::ast::{ACCUMULATOR, Comprehension, Expr, Id, Kind, Literal, OLD_ACCUMULATOR, Select};

/// Why a macro could not be expanded.
pub(super) enum Wrong {
    /// What is wrong with an argument, and which.
    Argument(Id, String),
    TooManyNodes,
}

impl From<TooManyNodes> for Wrong {
    fn from(_: TooManyNodes) -> Self {
        Self::TooManyNodes
    }
}

type Expansion = Result<Expr, Wrong>;

/// Expands a call if it is one of a macro; `offset` is where the new nodes are said to stand.
pub(super) fn expand(
    nodes: &mut Nodes<'_>,
    offset: u32,
    function: &str,
    target: Option<Expr>,
    args: Vec<Expr>,
) -> Result<Expansion, (Option<Expr>, Vec<Expr>)> {
    let mut at = At { nodes, offset };
    let Some(target) = target else {
        return match (function, args.len()) {
            ("has", 1) => Ok(at.has(args)),
            _ => Err((None, args)),
        };
    };
    let mut args = Arguments(args.into_iter());
    Ok(match (function, args.0.len()) {
        ("all", 2) => at.quantifier(Quantifier::All, target, args, false),
        ("exists", 2) => at.quantifier(Quantifier::Exists, target, args, false),
        ("exists_one", 2) => at.quantifier(Quantifier::ExistsOne, target, args, false),
        ("all", 3) => at.quantifier(Quantifier::All, target, args, true),
        ("exists", 3) => at.quantifier(Quantifier::Exists, target, args, true),
        ("exists_one" | "existsOne", 3) => at.quantifier(Quantifier::ExistsOne, target, args, true),
        ("map", 2 | 3) => at.map(target, args),
        ("filter", 2) => at.filter(target, args),
        ("transformList", 3 | 4) => at.transform(Transform::List, target, args),
        ("transformMap", 3 | 4) => at.transform(Transform::Map, target, args),
        ("transformMapEntry", 3 | 4) => at.transform(Transform::MapEntry, target, args),
        ("optMap", 2) => at.opt_map(target, args, false),
        ("optFlatMap", 2) => at.opt_map(target, args, true),
        ("sortBy", 2) => at.sort_by(target, args),
        ("bind", 3) if at.nodes.binds && matches!(&target.kind, Kind::Ident(name) if name == "cel") => {
            at.cel_bind(args)
        }
        _ => return Err((Some(target), args.0.by_ref().collect())),
    })
}

/// The arguments of a macro, whose number is known.
struct Arguments(std::vec::IntoIter<Expr>);

impl Arguments {
    fn next(&mut self) -> Expr {
        self.0.next().unwrap_or(Expr { id: 0, kind: Kind::Unspecified })
    }
}

#[derive(Clone, Copy)]
enum Quantifier {
    All,
    Exists,
    ExistsOne,
}

#[derive(Clone, Copy)]
enum Transform {
    List,
    Map,
    MapEntry,
}

/// Makes nodes at the macro's place.
struct At<'a, 'b> {
    nodes: &'a mut Nodes<'b>,
    offset: u32,
}

impl At<'_, '_> {
    fn call(&mut self, function: &str, args: Vec<Expr>) -> Expr {
        self.nodes.call(self.offset, function, args)
    }

    fn literal(&mut self, value: Literal) -> Expr {
        self.nodes.literal(self.offset, value)
    }

    fn accumulator(&mut self) -> Expr {
        self.nodes.accumulator(self.offset)
    }

    fn list(&mut self, values: Vec<Expr>) -> Expr {
        self.nodes.list(self.offset, values)
    }

    fn fold(
        &mut self,
        range: Expr,
        variables: Variables,
        init: Expr,
        condition: Expr,
        step: Expr,
        result: Expr,
    ) -> Expr {
        let Variables(variable, variable2) = variables;
        let accumulator = ACCUMULATOR.to_owned();
        let fold = Comprehension { range, variable, variable2, accumulator, init, condition, step, result };
        self.nodes.comprehension(self.offset, fold)
    }

    fn has(&mut self, args: Vec<Expr>) -> Expansion {
        match args.into_iter().next() {
            Some(Expr { kind: Kind::Select(select), .. }) => {
                let Select { operand, field, .. } = *select;
                let test = Select { operand, field, test_only: true };
                Ok(self.nodes.node(self.offset, Kind::Select(Box::new(test))))
            }
            arg => Err(Wrong::Argument(arg.map_or(0, |a| a.id), "invalid argument to has() macro".to_owned())),
        }
    }

    fn quantifier(&mut self, kind: Quantifier, range: Expr, mut args: Arguments, two: bool) -> Expansion {
        let variables = if two { two_variables(&mut args)? } else { one_variable(&args.next(), NAME)? };
        let predicate = args.next();
        let (init, condition, step, result) = match kind {
            Quantifier::All => {
                let init = self.literal(Literal::Bool(true));
                let accumulator = self.accumulator();
                let condition = self.call(NOT_STRICTLY_FALSE, vec![accumulator]);
                let accumulator = self.accumulator();
                (init, condition, self.call(AND, vec![accumulator, predicate]), self.accumulator())
            }
            Quantifier::Exists => {
                let init = self.literal(Literal::Bool(false));
                let accumulator = self.accumulator();
                let not = self.call(NOT, vec![accumulator]);
                let condition = self.call(NOT_STRICTLY_FALSE, vec![not]);
                let accumulator = self.accumulator();
                (init, condition, self.call(OR, vec![accumulator, predicate]), self.accumulator())
            }
            Quantifier::ExistsOne => {
                let init = self.literal(Literal::Int(0));
                let condition = self.literal(Literal::Bool(true));
                let (accumulator, one) = (self.accumulator(), self.literal(Literal::Int(1)));
                let more = self.call(ADD, vec![accumulator, one]);
                let step = self.otherwise_unchanged(predicate, more);
                let (accumulator, one) = (self.accumulator(), self.literal(Literal::Int(1)));
                (init, condition, step, self.call(EQUALS, vec![accumulator, one]))
            }
        };
        Ok(self.fold(range, variables, init, condition, step, result))
    }

    /// `predicate ? changed : accumulator`
    fn otherwise_unchanged(&mut self, predicate: Expr, changed: Expr) -> Expr {
        let accumulator = self.accumulator();
        self.call(CONDITIONAL, vec![predicate, changed, accumulator])
    }

    /// `accumulator + [value]`
    fn appended(&mut self, value: Expr) -> Expr {
        let accumulator = self.accumulator();
        let list = self.list(vec![value]);
        self.call(ADD, vec![accumulator, list])
    }

    /// Collects what the step makes of the elements.
    fn collect(&mut self, range: Expr, variables: Variables, init: Expr, step: Expr, filter: Option<Expr>) -> Expr {
        let condition = self.literal(Literal::Bool(true));
        let step = match filter {
            Some(filter) => self.otherwise_unchanged(filter, step),
            None => step,
        };
        let result = self.accumulator();
        self.fold(range, variables, init, condition, step, result)
    }

    fn map(&mut self, range: Expr, mut args: Arguments) -> Expansion {
        let variables = one_variable(&args.next(), IDENTIFIER)?;
        let filter = (args.0.len() == 2).then(|| args.next());
        let init = self.list(Vec::new());
        let step = self.appended(args.next());
        Ok(self.collect(range, variables, init, step, filter))
    }

    fn filter(&mut self, range: Expr, mut args: Arguments) -> Expansion {
        let variable = args.next();
        let variables = one_variable(&variable, IDENTIFIER)?;
        let init = self.list(Vec::new());
        let step = self.appended(variable);
        Ok(self.collect(range, variables, init, step, Some(args.next())))
    }

    fn transform(&mut self, kind: Transform, range: Expr, mut args: Arguments) -> Expansion {
        let variables = two_variables(&mut args)?;
        let filter = (args.0.len() == 2).then(|| args.next());
        let value = args.next();
        let init = match kind {
            Transform::List => self.list(Vec::new()),
            Transform::Map | Transform::MapEntry => self.nodes.node(self.offset, Kind::Map(Vec::new())),
        };
        let step = match kind {
            Transform::List => self.appended(value),
            Transform::Map => {
                let accumulator = self.accumulator();
                let key = self.nodes.ident(self.offset, &variables.0);
                self.call(MAP_INSERT, vec![accumulator, key, value])
            }
            Transform::MapEntry => {
                let accumulator = self.accumulator();
                self.call(MAP_INSERT, vec![accumulator, value])
            }
        };
        Ok(self.collect(range, variables, init, step, filter))
    }

    /// A fold over nothing, whose accumulator is the bound name.
    fn bind(&mut self, name: &str, value: Expr, result: Expr) -> Expr {
        let range = self.list(Vec::new());
        let condition = self.literal(Literal::Bool(false));
        let step = self.nodes.ident(self.offset, name);
        let fold = Comprehension {
            range,
            variable: "#unused".to_owned(),
            variable2: None,
            accumulator: name.to_owned(),
            init: value,
            condition,
            step,
            result,
        };
        self.nodes.comprehension(self.offset, fold)
    }

    fn cel_bind(&mut self, mut args: Arguments) -> Expansion {
        let name = simple_name(&args.next(), "cel.bind() variable names must be simple identifiers")?;
        Ok(self.bind(&name, args.next(), args.next()))
    }

    fn opt_map(&mut self, target: Expr, mut args: Arguments, flat: bool) -> Expansion {
        let variable = args.next();
        let Kind::Ident(name) = &variable.kind else {
            let function = if flat { "optFlatMap" } else { "optMap" };
            let message = format!("{function}() variable name must be a simple identifier");
            return Err(Wrong::Argument(variable.id, message));
        };
        let copy = self.nodes.copy(&target)?;
        let has_value = self.nodes.member_call(self.offset, "hasValue", target, Vec::new());
        let value = self.nodes.member_call(self.offset, "value", copy, Vec::new());
        let mut mapped = self.bind(name, value, args.next());
        if !flat {
            mapped = self.call("optional.of", vec![mapped]);
        }
        let none = self.call("optional.none", Vec::new());
        Ok(self.call(CONDITIONAL, vec![has_value, mapped, none]))
    }

    fn sort_by(&mut self, target: Expr, args: Arguments) -> Expansion {
        const INPUT: &str = "@__sortBy_input__";
        if matches!(target.kind, Kind::Literal(_) | Kind::Map(_) | Kind::Struct(_)) {
            let message = "sortBy can only be applied to a list, identifier, comprehension, call or select expression";
            return Err(Wrong::Argument(target.id, message.to_owned()));
        }
        let input = self.nodes.ident(self.offset, INPUT);
        let keys = self.map(input, args)?;
        let input = self.nodes.ident(self.offset, INPUT);
        let sorted = self.nodes.member_call(self.offset, "@sortByAssociatedKeys", input, vec![keys]);
        Ok(self.bind(INPUT, target, sorted))
    }
}

/// The names that a macro binds.
struct Variables(String, Option<String>);

const NAME: &str = "argument must be a simple name";
const IDENTIFIER: &str = "argument is not an identifier";

fn simple_name(arg: &Expr, otherwise: &str) -> Result<String, Wrong> {
    match &arg.kind {
        Kind::Ident(name) => Ok(name.clone()),
        _ => Err(Wrong::Argument(arg.id, otherwise.to_owned())),
    }
}

fn not_the_accumulator(arg: &Expr, name: &str) -> Result<(), Wrong> {
    if name == ACCUMULATOR || name == OLD_ACCUMULATOR {
        return Err(Wrong::Argument(arg.id, "iteration variable overwrites accumulator variable".to_owned()));
    }
    Ok(())
}

fn one_variable(arg: &Expr, otherwise: &str) -> Result<Variables, Wrong> {
    let name = simple_name(arg, otherwise)?;
    not_the_accumulator(arg, &name)?;
    Ok(Variables(name, None))
}

fn two_variables(args: &mut Arguments) -> Result<Variables, Wrong> {
    let (first, second) = (args.next(), args.next());
    let (name, name2) = (simple_name(&first, NAME)?, simple_name(&second, NAME)?);
    if name == name2 {
        return Err(Wrong::Argument(second.id, format!("duplicate variable name: {name}")));
    }
    not_the_accumulator(&first, &name)?;
    not_the_accumulator(&second, &name2)?;
    Ok(Variables(name, Some(name2)))
}
