# Case statements on integers, strings and enumerations, variants, closures, generics, exceptions, formatted output.
import std/[algorithm, os, sequtils, strformat, strutils, tables]

type
  Day = enum monday, tuesday, wednesday, thursday, friday, saturday, sunday
  Shape = ref object of RootObj
  Circle = ref object of Shape
    radius: float
  Square = ref object of Shape
    side: float
  Rest = object of CatchableError
  Value = object
    case isText: bool
    of true: text: string
    of false: number: int

method area(shape: Shape): float {.base.} = 0.0
method area(shape: Circle): float = 3.14 * shape.radius * shape.radius
method area(shape: Square): float = shape.side * shape.side

proc hours(day: Day, count: int): int =
  case day
  of monday: result = count
  of tuesday: result = count + 1
  of wednesday: result = count * 2
  of thursday:
    echo "Thursday"
    result = count - 3
  of friday: result = count div 2
  of saturday: result = 0
  of sunday: raise newException(Rest, "no work")

proc keyword(word: string): int =
  case word
  of "proc": 1
  of "method": 2
  of "iterator": 3
  of "template": 4
  of "macro": 5
  of "case": 6
  of "while": 7
  of "yield": 8
  of "block": 9
  else: 0

proc largest[T](items: seq[T]): T =
  result = items[0]
  for item in items:
    if result < item: result = item

proc counter(step: int): proc (): int =
  var count = 0
  result = proc (): int =
    count += step
    count

iterator countdown(start: int): int =
  var number = start
  while number > 0:
    yield number
    dec number

proc show(value: Value): string = (if value.isText: value.text else: $value.number)

let next = counter(paramCount() + 1)
let shapes: seq[Shape] = @[Circle(radius: 1.5), Square(side: 2.0)]
for shape in shapes.sortedByIt(it.area): echo &"{shape.area:.2f}"
echo largest(@[3, 1, 2]), largest(@["one", "two"]), keyword(getAppFilename()), next(), next()
var counts = initCountTable[string]()
for word in "one two one".split: counts.inc word
echo counts, toSeq(countdown(3)).mapIt($it).join(","), show(Value(isText: true, text: "text"))
try:
  for day in Day: echo day, hours(day, next())
except Rest as error:
  echo error.msg
