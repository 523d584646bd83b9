--  Case statements, variants, tagged types, exceptions, generics, tasks and formatted output.
with Ada.Command_Line;
with Ada.Containers.Ordered_Maps;
with Ada.Exceptions;
with Ada.Strings.Unbounded;
with Ada.Text_IO;

procedure Kinds is
   use Ada.Strings.Unbounded;
   use Ada.Text_IO;

   type Day is (Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday);
   type Shape_Kind is (Point, Circle, Square, Rectangle);
   type Shape (Kind : Shape_Kind := Point) is record
      case Kind is
         when Point => null;
         when Circle => Radius : Float;
         when Square => Side : Float;
         when Rectangle => Width, Height : Float;
      end case;
   end record;

   type Animal is abstract tagged record
      Legs : Natural := 4;
   end record;

   package Maps is new Ada.Containers.Ordered_Maps (Unbounded_String, Integer);
   Rest : exception;

   function Area (Item : Shape) return Float is
   begin
      case Item.Kind is
         when Point => return 0.0;
         when Circle => return 3.14 * Item.Radius * Item.Radius;
         when Square => return Item.Side * Item.Side;
         when Rectangle => return Item.Width * Item.Height;
      end case;
   end Area;

   function Hours (Item : Day; Count : Integer) return Integer is
   begin
      case Item is
         when Monday => return Count;
         when Tuesday => return Count + 1;
         when Wednesday => return Count * 2;
         when Thursday => Put_Line ("Thursday"); return Count - 3;
         when Friday => return Count / 2;
         when Saturday => return 0;
         when Sunday => raise Rest with "no work" & Integer'Image (Count);
      end case;
   end Hours;

   generic
      type Item is private;
      with function "<" (Left, Right : Item) return Boolean is <>;
   function Least (Left, Right : Item) return Item;
   function Least (Left, Right : Item) return Item is (if Left < Right then Left else Right);
   function Least_Integer is new Least (Integer);
   function Least_Float is new Least (Float);

   task type Worker is
      entry Start (Number : Integer);
   end Worker;
   task body Worker is
      Own : Integer;
   begin
      accept Start (Number : Integer) do
         Own := Number;
      end Start;
      Put_Line ("worker" & Integer'Image (Own));
   end Worker;

   Workers : array (1 .. 2) of Worker;
   Counts : Maps.Map;
   Count : constant Integer := Ada.Command_Line.Argument_Count;
   Shapes : constant array (1 .. 2) of Shape := [(Circle, 1.5), (Rectangle, 2.0, 3.0)];
begin
   for Index in Workers'Range loop
      Workers (Index).Start (Index);
   end loop;
   for Item of Shapes loop
      Put_Line (Float'Image (Area (Item)));
   end loop;
   Counts.Include (To_Unbounded_String ("one"), Least_Integer (Count, 3));
   Put_Line (Integer'Image (Counts.First_Element) & Float'Image (Least_Float (1.0, Float (Count))));
   for Item in Day loop
      Put_Line (Day'Image (Item) & Integer'Image (Hours (Item, Count)));
   end loop;
exception
   when Error : Rest => Put_Line (Ada.Exceptions.Exception_Message (Error));
   when Constraint_Error => Put_Line ("constraint");
end Kinds;
