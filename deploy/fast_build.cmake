# What makes a build short and changes nothing of what is built. All of it can be left out: without
# ccache everything is compiled; with ATTENTION_FAST_BUILD=OFF, as in the preset `dev`, each source is
# compiled by itself, and so has to include what it uses. tests/README.md tells what each of these gives.
option(ATTENTION_FAST_BUILD "Precompiled headers, and several sources compiled as one" ON)

# Results of the compiler are kept where ccache is installed, and found again from a clone that lies
# elsewhere: paths are told relative to the clone.
find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # What precompiled headers need: the macros that they define, and how old they are, are no reason to
  # compile anew what includes them.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR}
    CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime CCACHE_DEPEND=1 ${CCACHE})
endif()
add_compile_options(-ffile-prefix-map=${PROJECT_SOURCE_DIR}/=)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fpch-preprocess>)  # so that ccache sees what they are
else()
  add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:SHELL:-Xclang -fno-pch-timestamp>")
endif()

# attention_precompiled(NAME HEADERS <a.h> ... LIBS target ...): headers that are read once for all
# targets which ask for attention_use_precompiled(TARGET NAME); ATTENTION_FIRST_HEADER, where it is set, is the first of
# them. These targets need the same options: GCC takes those that the
# headers were compiled with, -ffp-contract for one, in place of a target's own, and says nothing.
function(attention_precompiled NAME)
  cmake_parse_arguments(PARSE_ARGV 1 PRECOMPILED "" "" "HEADERS;LIBS")
  if(ATTENTION_FAST_BUILD)
    file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/${NAME}.cc CONTENT "")
    add_library(${NAME} OBJECT ${CMAKE_CURRENT_BINARY_DIR}/${NAME}.cc)
    target_link_libraries(${NAME} PRIVATE ${PRECOMPILED_LIBS})
    target_precompile_headers(${NAME} PRIVATE ${ATTENTION_FIRST_HEADER} ${PRECOMPILED_HEADERS})
  endif()
endfunction()

function(attention_use_precompiled TARGET NAME)
  if(ATTENTION_FAST_BUILD)
    target_precompile_headers(${TARGET} REUSE_FROM ${NAME})
  endif()
endfunction()

# attention_unite(TARGET): several of its sources are compiled as one, so that what they all include is read, and
# the templates that they all use are compiled, once. Names in the unnamed namespaces of one target have to differ.
function(attention_unite TARGET)
  set_target_properties(${TARGET} PROPERTIES UNITY_BUILD ${ATTENTION_FAST_BUILD} UNITY_BUILD_BATCH_SIZE 10)
  if(ATTENTION_FAST_BUILD)
    # GCC takes what a united file includes for headers, where types of an unnamed namespace would be a fault. In
    # real headers the preset `dev` still finds them.
    target_compile_options(${TARGET} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
  endif()
endfunction()
