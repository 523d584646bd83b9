! Select statements, derived types with bound procedures, recursion, array operations and formatted output.
module figures
  implicit none
  type, abstract :: figure
  contains
    procedure(measure), deferred :: area
  end type
  abstract interface
    real function measure(self)
      import figure
      class(figure), intent(in) :: self
    end function
  end interface
  type, extends(figure) :: circle
    real :: radius
  contains
    procedure :: area => circle_area
  end type
  type, extends(figure) :: box
    real :: sides(2)
  contains
    procedure :: area => box_area
  end type
contains
  real function circle_area(self)
    class(circle), intent(in) :: self
    circle_area = 3.14 * self%radius ** 2
  end function
  real function box_area(self)
    class(box), intent(in) :: self
    box_area = product(self%sides)
  end function
end module

program kinds
  use figures
  implicit none
  class(figure), allocatable :: item
  real :: matrix(4, 4)
  integer :: index
  character(len=20) :: text
  allocate (item, source=circle(1.5))
  print *, item%area(), describe(item)
  deallocate (item)
  allocate (item, source=box([2.0, 3.0]))
  print *, item%area(), describe(item)
  call random_number(matrix)
  matrix = matmul(transpose(matrix), matrix)
  write (*, '(4f8.3)') matrix
  do index = 0, 8
    write (text, '(a,i0)') trim(day(index)), factorial(index)
    print *, text, keyword(trim(day(index))), bits(index, command_argument_count())
  end do
contains
  function describe(item) result(text)
    class(figure), intent(in) :: item
    character(len=8) :: text
    select type (item)
    type is (circle)
      text = 'circle'
    type is (box)
      text = 'box'
    class default
      text = 'other'
    end select
  end function

  function day(number) result(text)
    integer, intent(in) :: number
    character(len=10) :: text
    select case (number)
    case (1)
      text = 'Monday'
    case (2)
      text = 'Tuesday'
    case (3)
      text = 'Wednesday'
    case (4)
      text = 'Thursday'
    case (5)
      text = 'Friday'
    case (6:7)
      text = 'weekend'
    case default
      text = 'none'
    end select
  end function

  integer function keyword(text)
    character(len=*), intent(in) :: text
    select case (text)
    case ('Monday')
      keyword = 1
    case ('Friday')
      keyword = 5
    case ('a':'m')
      keyword = 9
    case default
      keyword = 0
    end select
  end function

  integer function bits(kind, value)
    integer, intent(in) :: kind, value
    select case (kind)
    case (0)
      bits = value
    case (1)
      bits = value + 1
    case (2)
      bits = value * value
    case (3)
      bits = ieor(value, 17)
    case (4)
      bits = value - 9
    case (5)
      print *, 'five'
      bits = 5
    case default
      bits = 0
    end select
  end function

  recursive integer function factorial(number) result(value)
    integer, intent(in) :: number
    value = 1
    if (number > 1) value = number * factorial(number - 1)
  end function
end program
