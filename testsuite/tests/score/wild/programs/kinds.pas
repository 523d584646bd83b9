{ Case statements, sets, strings, classes with virtual methods, exceptions, generics and formatted output. }
program kinds;
{$mode objfpc}{$H+}
uses SysUtils, Classes;

type
  TShape = (Point, Line, Circle, Square, Triangle, Polygon);
  EShape = class(Exception);

  TFigure = class
    function Area: Double; virtual; abstract;
    function Name: String; virtual;
  end;

  TCircle = class(TFigure)
    Radius: Double;
    constructor Create(Value: Double);
    function Area: Double; override;
    function Name: String; override;
  end;

  TSquare = class(TFigure)
    Side: Double;
    constructor Create(Value: Double);
    function Area: Double; override;
  end;

  generic TStack<T> = class
    Items: array of T;
    procedure Push(Item: T);
    function Pop: T;
  end;
  TNumbers = specialize TStack<Integer>;
  TTexts = specialize TStack<String>;
  TOperation = function(Left, Right: Integer): Integer;

function TFigure.Name: String; begin Result := 'figure' end;
constructor TCircle.Create(Value: Double); begin Radius := Value end;
function TCircle.Area: Double; begin Result := 3.14 * Radius * Radius end;
function TCircle.Name: String; begin Result := 'circle' end;
constructor TSquare.Create(Value: Double); begin Side := Value end;
function TSquare.Area: Double; begin Result := Side * Side end;

procedure TStack.Push(Item: T);
begin
  SetLength(Items, Length(Items) + 1);
  Items[High(Items)] := Item;
end;

function TStack.Pop: T;
begin
  if Length(Items) = 0 then raise EShape.Create('empty');
  Result := Items[High(Items)];
  SetLength(Items, Length(Items) - 1);
end;

function Corners(Shape: TShape; Sides: Integer): Integer;
begin
  case Shape of
    Point: Result := 1;
    Line: Result := 2;
    Circle: begin writeln('round'); Result := 0 end;
    Square: Result := Sides * 4;
    Triangle: Result := Sides + 3;
    Polygon: raise EShape.CreateFmt('%d sides', [Sides]);
  end;
end;

function Keyword(Word: String): Integer;
begin
  case Word of
    'begin': Result := 1;
    'end': Result := 2;
    'case': Result := 3;
    'while': Result := 4;
    'until': Result := 5;
  else
    Result := 0;
  end;
end;

function Digit(Value: Char): Integer;
begin
  case Value of
    '0'..'9': Result := Ord(Value) - Ord('0');
    'a'..'f': Result := Ord(Value) - Ord('a') + 10;
    'A': Result := 20;
    'B': Result := 31;
    'C': Result := 42;
    'D': Result := 53;
    'E': Result := 64;
  else
    Result := -1;
  end;
end;

function Plus(Left, Right: Integer): Integer; begin Result := Left + Right end;
function Times(Left, Right: Integer): Integer; begin Result := Left * Right end;

const
  Operations: array[0..1] of TOperation = (@Plus, @Times);

var
  Numbers: TNumbers;
  Texts: TTexts;
  Figure: TFigure;
  Lines: TStringList;
begin
  Numbers := TNumbers.Create;
  Texts := TTexts.Create;
  Lines := TStringList.Create;
  try
    Numbers.Push(Corners(TShape(ParamCount mod 6), 4));
    Texts.Push(Format('%d %s %.2f', [Numbers.Pop, 'text', 1.5]));
    Lines.Add(Texts.Pop);
    Figure := TCircle.Create(2.0);
    writeln(Figure.Name, ' ', Figure.Area:0:2);
    Figure := TSquare.Create(2.0);
    writeln(Figure.Name, ' ', Figure.Area:0:2, ' ', Keyword(ParamStr(0)), Digit('c'));
    writeln(Operations[ParamCount mod 2](3, 4), ' ', Lines.Text);
    Numbers.Pop;
  except
    on Error: EShape do writeln('caught ', Error.Message);
  end;
end.
