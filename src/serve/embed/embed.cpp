// The build's own tool: writes a C++ file that holds files, compressed. embed OUT [PATH FILE]...
#include <zlib.h>

#include <algorithm>
#include <array>
#include <exception>
#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 8> k_types{
    {{".html", "text/html; charset=utf-8"},
     {".css", "text/css; charset=utf-8"},
     {".js", "text/javascript; charset=utf-8"},
     {".json", "application/json"},
     {".svg", "image/svg+xml"},
     {".png", "image/png"},
     {".ico", "image/x-icon"},
     {".woff2", "font/woff2"}}};

std::string_view type_of(const std::string& path) {
  const auto type = std::ranges::find_if(k_types, [&](const auto& row) { return path.ends_with(row.first); });
  if (type == k_types.end()) {
    throw std::runtime_error(
        path +
        ": no content type is known for this kind of file; k_types in src/serve/embed/embed.cpp has those that are");
  }
  return type->second;
}

std::string read(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) {
    throw std::runtime_error(file + " cannot be read");
  }
  return {std::istreambuf_iterator<char>(stream), {}};
}

/// In gzip's format, and always the same for the same file.
std::string compress(std::string text) {
  constexpr int k_gzip_window = 15 + 16;
  constexpr int k_memory = 9;
  z_stream deflating{};
  if (deflateInit2(&deflating, Z_BEST_COMPRESSION, Z_DEFLATED, k_gzip_window, k_memory, Z_DEFAULT_STRATEGY) != Z_OK) {
    throw std::runtime_error("zlib does not start");
  }
  std::string compressed(deflateBound(&deflating, static_cast<uLong>(text.size())), '\0');
  deflating.next_in = reinterpret_cast<Bytef*>(text.data());
  deflating.avail_in = static_cast<uInt>(text.size());
  deflating.next_out = reinterpret_cast<Bytef*>(compressed.data());
  deflating.avail_out = static_cast<uInt>(compressed.size());
  const int status = deflate(&deflating, Z_FINISH);
  compressed.resize(deflating.total_out);
  deflateEnd(&deflating);
  if (status != Z_STREAM_END) {
    throw std::runtime_error("zlib failed");
  }
  return compressed;
}

void write_bytes(std::ostream& out, const std::string& bytes) {
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    out << static_cast<unsigned>(static_cast<unsigned char>(bytes[at])) << (at % 32 == 31 ? ",\n" : ",");
  }
}

}  // namespace

int main(int argc, char** argv) try {
  std::ofstream out(argv[1]);
  out << "#include \"embedded.hpp\"\n\n#include <array>\n\nnamespace ecmigrate::serve {\n\nnamespace {\n\n";
  std::string table;
  int count = 0;
  for (int at = 2; at + 1 < argc; at += 2) {
    const std::string path = argv[at];
    const std::string text = read(argv[at + 1]);
    const std::string name = "k_file_" + std::to_string(++count);
    out << "constexpr unsigned char " << name << "[] = {";
    write_bytes(out, compress(text));
    out << "};\n";
    table += "    EmbeddedFile{\"" + path + "\", \"" + std::string(type_of(path)) + "\", " + name + ", " +
             std::to_string(text.size()) + "},\n";
  }
  out << "\nconstexpr std::array<EmbeddedFile, " << count << "> k_files{{\n"
      << table << "}};\n\n}  // namespace\n\n"
      << "std::span<const EmbeddedFile> embedded_files() { return k_files; }\n\n}  // namespace ecmigrate::serve\n";
  out.close();
  return out ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << "embed: " << error.what() << '\n';
  return 1;
}
