#include "ecmigrate/base/caret.hpp"

#include "support/catch.hpp"

namespace ecmigrate::test {

TEST_CASE("a caret stands under its character") {
  CHECK(with_caret("lower(nam)", 6) == "    lower(nam)\n          ^");
  CHECK(with_caret("x", 0) == "    x\n    ^");
}

TEST_CASE("a caret counts characters, not bytes, and keeps tabs") {
  CHECK(with_caret("'Zoë' || nam", 9) == "    'Zoë' || nam\n             ^");
  CHECK(with_caret("\tcase\twhen", 6) == "    \tcase\twhen\n    \t    \t^");
}

TEST_CASE("a caret stands in its line of several") {
  CHECK(with_caret("case\n  when nam\nend", 12) == "    case\n      when nam\n           ^\n    end");
  CHECK(with_caret("a\n\nb", 3) == "    a\n\n    b\n    ^");
}

TEST_CASE("a place outside of the text has no caret") {
  CHECK(with_caret("lower(nam", 9) == "    lower(nam");
  CHECK(with_caret("a\nb", 1) == "    a\n    b");
}

TEST_CASE("of many lines what stands around the caret is shown") {
  const std::string text = "1\n2\n3\n4\n5\n6\n7\n8";
  CHECK(with_caret(text, 8) == "    2\n    3\n    4\n    5\n    ^\n    6");
  CHECK(with_caret(text, 9) == "    2\n    3\n    4\n    5\n    6");
  CHECK(with_caret(text, 0) == "    1\n    ^\n    2");
  CHECK(with_caret(std::string(100, 'a') + "\nb", 101) == "    " + std::string(72, 'a') + "…\n    b\n    ^");
  CHECK(with_caret(text, 99) == "    5\n    6\n    7\n    8");
}

TEST_CASE("of a long line what stands around the caret is shown") {
  const std::string line = std::string(100, 'a') + "!" + std::string(100, 'b');
  CHECK(with_caret(line, 100) ==
        "    …" + std::string(48, 'a') + "!" + std::string(23, 'b') + "…\n     " + std::string(48, ' ') + "^");
  CHECK(with_caret(line, 3) == "    " + std::string(72, 'a') + "…\n       ^");
}

}  // namespace ecmigrate::test
