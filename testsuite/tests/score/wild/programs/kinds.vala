// Switches on integers, strings and enumerations, classes, signals, closures, generics, errors, formatted output.
enum Day { MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY, SATURDAY, SUNDAY }

errordomain WorkError { REST, OTHER }

delegate int Step ();

abstract class Shape : Object {
    public signal void measured (double area);
    public abstract double area ();
    public virtual string name () { return "shape"; }
}

class Circle : Shape {
    public double radius { get; set; }
    public Circle (double radius) { this.radius = radius; }
    public override double area () { measured (radius); return 3.14 * radius * radius; }
    public override string name () { return "circle"; }
}

class Square : Shape {
    private double side;
    public Square (double side) { this.side = side; }
    public override double area () { measured (side); return side * side; }
}

class Box<T> : Object {
    public T item { get; owned set; }
    public Box (T item) { this.item = item; }
}

int hours (Day day, int count) throws WorkError {
    switch (day) {
        case Day.MONDAY: return count;
        case Day.TUESDAY: return count + 1;
        case Day.WEDNESDAY: return count * 2;
        case Day.THURSDAY: stdout.printf ("Thursday\n"); return count - 3;
        case Day.FRIDAY: return count / 2;
        case Day.SATURDAY: return 0;
        case Day.SUNDAY: throw new WorkError.REST ("no work");
        default: return -1;
    }
}

int keyword (string word) {
    switch (word) {
        case "if": return 1;
        case "else": return 2;
        case "foreach": return 3;
        case "while": return 4;
        case "signal": return 5;
        default: return 0;
    }
}

int apply (owned Step step, int times) {
    int total = 0;
    for (int index = 0; index < times; index++) total += step ();
    return total;
}

int main (string[] arguments) {
    Shape[] shapes = { new Circle (1.5), new Square (2) };
    foreach (var shape in shapes) {
        shape.measured.connect ((area) => stdout.printf ("%.2f\n", area));
        stdout.printf ("%s %.2f\n", shape.name (), shape.area ());
    }
    int count = arguments.length;
    stdout.printf ("%d %d\n", apply (() => { count++; return count; }, 3), keyword (arguments[0]));
    var box = new Box<string> ("text");
    stdout.printf ("%s\n", box.item.up ());
    try {
        for (int day = 0; day < 7; day++) stdout.printf ("%d\n", hours ((Day) day, count));
    } catch (WorkError error) {
        stderr.printf ("%s\n", error.message);
    }
    return 0;
}
