#include "client/cli/files/json_text.h"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace attention::client {
namespace {

using Json = nlohmann::json;

// Returns the place of byte `position` of `text` as "LINE:COLUMN".
std::string LineAndColumn(absl::string_view text, size_t position) {
  const absl::string_view before = text.substr(0, position);
  const size_t line = 1 + static_cast<size_t>(std::count(before.begin(), before.end(), '\n'));
  const size_t line_start = before.rfind('\n') == before.npos ? 0 : before.rfind('\n') + 1;
  return absl::StrCat(line, ":", position - line_start + 1);
}

// Returns the message of the library without its tag and without its own position, from such a
// text:
//   [json.exception.parse_error.101] parse error at line 1, column 9: syntax error while ...
std::string Reason(absl::string_view what) {
  constexpr size_t kMaxLength = 300;  // the library quotes the text that it read, which may be long
  if (const size_t tag = what.find("] "); tag != what.npos) what.remove_prefix(tag + 2);
  if (what.substr(0, 11) == "parse error") what.remove_prefix(what.find(": ") + 2);
  return std::string(what.substr(0, kMaxLength));
}

// Makes a text fit for a message: on one line, and cut if it is long.
std::string Shown(absl::string_view text) {
  constexpr size_t kMaxLength = 100;
  return absl::StrCat(absl::Utf8SafeCEscape(text.substr(0, kMaxLength)),
                      text.size() > kMaxLength ? "..." : "");
}

// Builds the value from the parser's events, with the checks that the library's own builder lacks.
class Builder final : public nlohmann::json_sax<Json> {
 public:
  Builder(absl::string_view text, const std::string& name) : text_(text), name_(name) {}

  const absl::Status& status() const { return status_; }
  Json Take() { return std::move(root_); }

  bool null() override { return Add(nullptr) != nullptr; }
  bool boolean(bool value) override { return Add(value) != nullptr; }
  bool number_integer(number_integer_t value) override { return Add(value) != nullptr; }
  bool number_unsigned(number_unsigned_t value) override { return Add(value) != nullptr; }
  bool number_float(number_float_t value, const string_t&) override {
    return Add(value) != nullptr;
  }
  bool string(string_t& value) override { return Add(std::move(value)) != nullptr; }
  bool binary(binary_t&) override { return Fail("binary values are no JSON"); }
  bool start_object(size_t) override { return Open(Json::object()); }
  bool end_object() override { return Close(); }
  bool start_array(size_t) override { return Open(Json::array()); }
  bool end_array() override { return Close(); }

  bool key(string_t& value) override {
    if (open_.back()->contains(value)) {
      return Fail(absl::StrCat("it has the key \"", Shown(value), "\" twice in ", Place()));
    }
    key_ = std::move(value);
    return true;
  }

  bool parse_error(size_t position, const std::string&, const Json::exception& error) override {
    // The library counts the wrong byte too, and at the end of the text one byte more.
    const size_t offset = std::min(position > 0 ? position - 1 : 0, text_.size());
    status_ = absl::InvalidArgumentError(
        absl::StrCat(name_, ":", LineAndColumn(text_, offset), ": ", Reason(error.what())));
    return false;
  }

 private:
  // The place of the innermost object, such as request.tokens[1].
  std::string Place() const {
    std::string place;
    for (size_t i = 1; i < open_.size(); ++i) {
      const Json& container = *open_[i - 1];
      if (container.is_array()) {
        absl::StrAppend(&place, "[", container.size() - 1, "]");
        continue;
      }
      for (const auto& [key, value] : container.items()) {
        if (&value == open_[i]) absl::StrAppend(&place, place.empty() ? "" : ".", key);
      }
    }
    return place.empty() ? "the outermost object" : Shown(place);
  }

  bool Fail(const std::string& reason) {
    status_ = absl::InvalidArgumentError(absl::StrCat(name_, ": ", reason));
    return false;
  }

  // Adds the value at its place. The address is valid until another value is added to the same
  // container.
  Json* Add(Json value) {
    Json& place = open_.empty()              ? root_
                  : open_.back()->is_array() ? open_.back()->emplace_back()
                                             : (*open_.back())[key_];
    place = std::move(value);
    return &place;
  }

  bool Open(Json container) {
    if (open_.size() == kMaxJsonDepth) {
      return Fail(
          absl::StrCat("it has more than ", kMaxJsonDepth, " levels of arrays and objects"));
    }
    open_.push_back(Add(std::move(container)));
    return true;
  }

  bool Close() {
    open_.pop_back();
    return true;
  }

  const absl::string_view text_;
  const std::string& name_;
  Json root_;
  std::vector<Json*> open_;  // the containers that are not closed yet, outermost first
  std::string key_;          // in an object: the key of the next value
  absl::Status status_;
};

}  // namespace

absl::StatusOr<nlohmann::json> ParseJson(absl::string_view text, const std::string& name) {
  // The library would take a NUL as the end of the text.
  if (const size_t nul = text.find('\0'); nul != text.npos) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ":", LineAndColumn(text, nul), ": there is a NUL byte"));
  }
  Builder builder(text, name);
  Json::sax_parse(text.begin(), text.end(), &builder);
  if (!builder.status().ok()) return builder.status();
  return builder.Take();
}

}  // namespace attention::client
