# find_package(oncegate) gives two targets:
#   oncegate::oncegate   the shared library
#   oncegate::static     the static library, with the libraries of the system that it needs
# Nothing in here names the place where it was installed: the whole prefix can be moved.

include_guard(GLOBAL)

get_filename_component(_oncegate_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)

set(_oncegate_search
  PATHS "${_oncegate_prefix}"
  PATH_SUFFIXES lib "lib/${CMAKE_LIBRARY_ARCHITECTURE}" lib64
  NO_DEFAULT_PATH)
find_path(_oncegate_include oncegate.h PATHS "${_oncegate_prefix}/include" NO_DEFAULT_PATH NO_CACHE)
find_library(_oncegate_shared NAMES oncegate ${_oncegate_search} NO_CACHE)
find_library(_oncegate_archive NAMES liboncegate.a ${_oncegate_search} NO_CACHE)

if(NOT _oncegate_include)
  set(oncegate_FOUND FALSE)
  set(oncegate_NOT_FOUND_MESSAGE "no oncegate.h below ${_oncegate_prefix}/include")
  return()
endif()

if(_oncegate_shared AND NOT TARGET oncegate::oncegate)
  add_library(oncegate::oncegate SHARED IMPORTED)
  set_target_properties(oncegate::oncegate PROPERTIES
    IMPORTED_LOCATION "${_oncegate_shared}"
    INTERFACE_INCLUDE_DIRECTORIES "${_oncegate_include}")
endif()

if(_oncegate_archive AND NOT TARGET oncegate::static)
  # What the archive needs, Rust knows, and the file of pkg-config tells.
  get_filename_component(_oncegate_libdir "${_oncegate_archive}" DIRECTORY)
  set(_oncegate_needs "")
  if(EXISTS "${_oncegate_libdir}/pkgconfig/oncegate.pc")
    file(STRINGS "${_oncegate_libdir}/pkgconfig/oncegate.pc" _oncegate_needs REGEX "^Libs.private:")
    string(REGEX REPLACE "^Libs.private: *" "" _oncegate_needs "${_oncegate_needs}")
    separate_arguments(_oncegate_needs UNIX_COMMAND "${_oncegate_needs}")
  endif()
  add_library(oncegate::static STATIC IMPORTED)
  set_target_properties(oncegate::static PROPERTIES
    IMPORTED_LOCATION "${_oncegate_archive}"
    INTERFACE_LINK_LIBRARIES "${_oncegate_needs}"
    INTERFACE_INCLUDE_DIRECTORIES "${_oncegate_include}")
endif()

foreach(_oncegate_component IN LISTS oncegate_FIND_COMPONENTS)
  if(NOT TARGET "oncegate::${_oncegate_component}"
      AND oncegate_FIND_REQUIRED_${_oncegate_component})
    set(oncegate_FOUND FALSE)
    set(oncegate_NOT_FOUND_MESSAGE "no library for oncegate::${_oncegate_component}")
  endif()
endforeach()
if(NOT TARGET oncegate::oncegate AND NOT TARGET oncegate::static)
  set(oncegate_FOUND FALSE)
  set(oncegate_NOT_FOUND_MESSAGE "no library below ${_oncegate_prefix}")
endif()

unset(_oncegate_search)
unset(_oncegate_needs)
