//! Matches on integers, strings and enumerations, traits, closures, generics, panics and formatted output.
use std::collections::BTreeMap;
use std::fmt::Display;
use std::{env, panic, thread};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Day {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

const DAYS: [Day; 7] =
    [Day::Monday, Day::Tuesday, Day::Wednesday, Day::Thursday, Day::Friday, Day::Saturday, Day::Sunday];

#[derive(Debug)]
enum Shape {
    Point,
    Circle(f64),
    Square(f64),
    Group(Vec<Shape>),
    Named(String, Box<Shape>),
}

trait Measure {
    fn area(&self) -> f64;
    fn name(&self) -> String {
        "something".to_owned()
    }
}

impl Measure for Shape {
    fn area(&self) -> f64 {
        match self {
            Shape::Point => 0.0,
            Shape::Circle(radius) => 3.14 * radius * radius,
            Shape::Square(side) => side * side,
            Shape::Group(shapes) => shapes.iter().map(Measure::area).sum(),
            Shape::Named(_, shape) => shape.area(),
        }
    }
}

impl Measure for Day {
    fn area(&self) -> f64 {
        f64::from(*self as u8)
    }
    fn name(&self) -> String {
        format!("{self:?}")
    }
}

#[inline(never)]
fn hours(day: Day, count: i64) -> Result<i64, String> {
    Ok(match day {
        Day::Monday => count,
        Day::Tuesday => count + 1,
        Day::Wednesday => count * 2,
        Day::Thursday => {
            println!("Thursday");
            count - 3
        }
        Day::Friday => count / 2,
        Day::Saturday => 0,
        Day::Sunday => return Err(format!("no work of {count}")),
    })
}

#[inline(never)]
fn keyword(word: &str) -> usize {
    match word {
        "if" => 1,
        "else" => 2,
        "match" => 3,
        "while" => 4,
        "trait" => 5,
        "struct" => 6,
        other => other.len(),
    }
}

#[inline(never)]
fn largest<T: PartialOrd + Copy + Display>(items: &[T]) -> T {
    let mut best = items[0];
    for item in items {
        if *item > best {
            best = *item;
        }
    }
    println!("{best}");
    best
}

fn counter(step: usize) -> impl FnMut() -> usize {
    let mut count = 0;
    move || {
        count += step;
        count
    }
}

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let mut next = counter(arguments.len());
    let shapes = vec![Shape::Point, Shape::Circle(1.5), Shape::Named("box".to_owned(), Box::new(Shape::Square(2.0)))];
    let measures: Vec<Box<dyn Measure>> = vec![Box::new(Shape::Group(shapes)), Box::new(DAYS[next() % 7])];
    for measure in &measures {
        println!("{:.2} {}", measure.area(), measure.name());
    }
    println!("{} {:.1} {}", largest(&[3, 1, 2]), largest(&[1.5, 2.5]), keyword(&arguments[0]));
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for word in ["one", "two", "one"] {
        *counts.entry(word).or_default() += 1;
    }
    println!("{counts:?}");
    let threads = DAYS.map(|day| thread::spawn(move || hours(day, 7)));
    for thread in threads {
        println!("{:?}", thread.join().expect("no panic"));
    }
    println!("{}", panic::catch_unwind(|| DAYS[arguments.len() + 7]).is_err());
}
