# Makes builds faster without changing the results. Each part is optional: without ccache everything is compiled; with
# ATTENTION_FAST_BUILD=OFF, as in the preset `dev`, each source is compiled by itself, and so must include what it uses.
# tests/README.md has the gain of each part.
option(ATTENTION_FAST_BUILD "Precompiled headers, and several sources compiled as one" ON)

# If ccache is installed, it keeps the results of the compiler. Paths are relative to the clone, so that a clone in
# another folder finds the results too.
find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Precompiled headers need these settings: macros that they define, and their age, must not cause sources to be
  # compiled again.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR}
    CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime CCACHE_DEPEND=1 ${CCACHE})
endif()
add_compile_options(-ffile-prefix-map=${PROJECT_SOURCE_DIR}/=)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fpch-preprocess>)  # so that ccache sees what they are
else()
  add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:SHELL:-Xclang -fno-pch-timestamp>")
endif()

# attention_precompiled(NAME HEADERS <a.h> ... LIBS target ...): headers that are compiled once for all targets that
# call attention_use_precompiled(TARGET NAME). ATTENTION_FIRST_HEADER, if it is set, is the first of them. These targets
# must have the same options, because GCC silently uses the options of the precompiled headers, such as -ffp-contract,
# instead of a target's own.
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

# attention_unite(TARGET): compiles several sources of the target as one, so that common headers are read once and
# common templates compiled once. Names in the unnamed namespaces of one target must differ.
function(attention_unite TARGET)
  set_target_properties(${TARGET} PROPERTIES UNITY_BUILD ${ATTENTION_FAST_BUILD} UNITY_BUILD_BATCH_SIZE 10)
  if(ATTENTION_FAST_BUILD)
    # GCC takes the sources of a united file for headers, in which types of an unnamed namespace would be an error. The
    # preset `dev` still finds such types in real headers.
    target_compile_options(${TARGET} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
  endif()
endfunction()
