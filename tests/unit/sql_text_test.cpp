#include "../../src/op/sql_text.hpp"

#include "ecmigrate/op/row_readers.hpp"
#include "support/catch.hpp"

namespace ecmigrate::test {

namespace {

std::string words(std::string_view text) {
  std::string all;
  for (const SqlToken& token : sql_tokens(text)) {
    all += (all.empty() ? "" : "|") + std::string(token.text);
  }
  return all;
}

Trigger trigger(const std::string& source, const std::string& language = "plpgsql") {
  Trigger made;
  made.name = "t";
  made.before_row = true;
  made.on_insert_or_update = true;
  made.language = language;
  made.source = source;
  return made;
}

}  // namespace

TEST_CASE("SQL is read in words, quoted names and literals") {
  CHECK(words("a.b+ 'it''s' \"x\"\"y\" -- c\n /* d /* e */ f */ g") == "a|.|b|+|'it''s'|\"x\"\"y\"|g");
  CHECK(words(R"(E'a\'b' 'a\' c)") == R"(E|'a\'b'|'a\'|c)");
  CHECK(words("$$a $b$ c$$ $tag$ $$ $tag$ $1.x 1.5e3") == "$$a $b$ c$$|$tag$ $$ $tag$|$|1|.|x|1.5e3");
  CHECK(words("'open") == "'open");
  CHECK(words("/* open") == "");
  CHECK(words("größe=1") == "größe|=|1");
}

TEST_CASE("literals lose their text types, and nothing else does") {
  CHECK(without_literal_types("(s = ANY (ARRAY['new'::text, 'paid'::text]))") == "(s = ANY (ARRAY['new', 'paid']))");
  CHECK(without_literal_types("s = 'a'::character varying(20) AND b") == "s = 'a' AND b");
  CHECK(without_literal_types("s = 'a'::bpchar") == "s = 'a'");
  CHECK(without_literal_types("'{a}'::text[] = x") == "'{a}'::text[] = x");
  CHECK(without_literal_types("'5'::integer + a::text") == "'5'::integer + a::text");
  CHECK(without_literal_types("f('x::text', '''a'::text)") == "f('x::text', '''a')");
}

TEST_CASE("a column of an expression is replaced, and nothing of the same name is") {
  CHECK(with_column_as("(s <> 'it''s s'::text) AND length(s) > 2", "s", "(s::text)") ==
        "((s::text) <> 'it''s s'::text) AND length((s::text)) > 2");
  CHECK(with_column_as("text = 'a'::text AND lower(text) = \"text\"", "text", "(x)") ==
        "(x) = 'a'::text AND lower((x)) = (x)");
  CHECK(with_column_as("date(\"Date\") > date", "Date", "(d)") == "date((d)) > date");
  CHECK(with_column_as("s(s) = a.s", "s", "(x)") == "s((x)) = a.s");
}

TEST_CASE("a tablespace stands before the condition of an index") {
  CHECK(with_tablespace(" USING btree (a)", "") == " USING btree (a)");
  CHECK(with_tablespace(" USING btree (a)", "Fast") == " USING btree (a) tablespace \"Fast\"");
  CHECK(with_tablespace(" USING btree ((a || ' WHERE ')) WITH (fillfactor='70') WHERE (a > 0)", "s") ==
        " USING btree ((a || ' WHERE ')) WITH (fillfactor='70') tablespace \"s\" WHERE (a > 0)");
}

TEST_CASE("what a trigger's function does with the row is told from its text") {
  CHECK(reads_new_column(trigger("begin if new.a > 0 then return new; end if; end"), "a"));
  CHECK(reads_new_column(trigger("begin new.b := NEW.\"a\"; end"), "a"));
  CHECK_FALSE(reads_new_column(trigger("begin new.a := 1; new.ab := 'new.a'; -- new.a\n end"), "a"));
  CHECK_FALSE(reads_new_column(trigger("begin if old.a > 0 then new.a = 5; end if; end"), "a"));
  CHECK(reads_new_column(trigger("begin if new.a = 5 then null; end if; end"), "a"));
  CHECK(reads_new_column(trigger("TD['new']['title']", "plpython3u"), "title"));
  CHECK_FALSE(reads_new_column(trigger("moddatetime", "c"), "date"));

  CHECK(hands_on_new_row(trigger("begin new.x := to_jsonb(new); end")));
  CHECK(hands_on_new_row(trigger("begin perform f(1, new.*); end")));
  CHECK(hands_on_new_row(trigger("begin new.x := md5(new::text); end")));
  CHECK_FALSE(hands_on_new_row(
      trigger("begin if (new.* is distinct from old.*) then new.x := now(); end if; return new; end")));

  CHECK(copies_rows(trigger("insert into h select old.*")) == CopiesRows::yes);
  CHECK(copies_rows(trigger("insert into h values (now(), f(1), new.*)")) == CopiesRows::yes);
  CHECK(copies_rows(trigger("insert into h select * from (select (old).*) x")) == CopiesRows::perhaps);
  CHECK(copies_rows(trigger("execute format('INSERT INTO %I SELECT ($1).*', tg_table_name) using new")) ==
        CopiesRows::perhaps);
  CHECK(copies_rows(trigger("execute 'insert into h select $1.*' using old")) == CopiesRows::perhaps);
  CHECK(copies_rows(trigger("insert into h (r) values (row(new.*)::text), (hstore(old.*)::text)")) == CopiesRows::no);
  CHECK(copies_rows(trigger("select new.* into r; insert into h values (r.a)")) == CopiesRows::no);

  CHECK(takes_whole_rows("select * from t", "t"));
  CHECK(takes_whole_rows("select u.* from t u", "t"));
  CHECK(takes_whole_rows("insert into t (a) values (1) returning *", "t"));
  CHECK_FALSE(takes_whole_rows("select * from u; select a from t", "t"));
  CHECK_FALSE(takes_whole_rows("select count(*), a * 2 from t", "t"));
}

}  // namespace ecmigrate::test
