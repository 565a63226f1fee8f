// Catch2 version 2 needs its main compiled in one file; version 3 brings it as a library.
#define CATCH_CONFIG_MAIN
#include "support/catch.hpp"
