#include "server/ops/policy.h"

#include <algorithm>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/json/json_text.h"

namespace attention::ops {
namespace {

using nlohmann::json;

bool TextMatches(absl::string_view pattern, absl::string_view text) {
  if (pattern == "*") return true;
  if (absl::ConsumePrefix(&pattern, "*")) return absl::EndsWith(text, pattern);
  if (absl::ConsumeSuffix(&pattern, "*")) return absl::StartsWith(text, pattern);
  return text == pattern;
}

// Elsewhere a star would stand for itself, which is not what whoever writes one means.
bool HasStarInside(absl::string_view pattern) {
  if (!absl::ConsumePrefix(&pattern, "*")) absl::ConsumeSuffix(&pattern, "*");
  return absl::StrContains(pattern, '*');
}

bool AnyTextMatches(const std::vector<std::string>& patterns, absl::string_view text) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [text](const std::string& pattern) { return TextMatches(pattern, text); });
}

}  // namespace

// Reads the members of JSON objects, and notes the first that is wrong. After that it gives empty
// values.
class Policy::Reader {
 public:
  std::vector<Rule> Rules(const json& object, const std::string& where, const char* name) {
    std::vector<Rule> rules;
    ForEach(object, where, name, [&](const json& rule, const std::string& at) {
      if (!HasOnly(rule, at, {"name", "source", "request"})) return;
      Text(rule, at, "name");
      const json source = Object(rule, at, "source"), request = Object(rule, at, "request");
      if (!HasOnly(source, at + ".source", {"principals"})) return;
      if (!HasOnly(request, at + ".request", {"paths", "headers"})) return;
      rules.push_back({.principals = Texts(source, at + ".source", "principals"),
                       .paths = Texts(request, at + ".request", "paths"),
                       .headers = Headers(request, at + ".request")});
    });
    return rules;
  }

  bool HasOnly(const json& object, const std::string& where,
               std::initializer_list<absl::string_view> names) {
    if (!object.is_object()) {
      Note(where, "is not an object");
      return false;
    }
    for (const auto& member : object.items()) {
      if (std::find(names.begin(), names.end(), member.key()) != names.end()) continue;
      Note(where, absl::StrCat("has a member \"", absl::CEscape(member.key()),
                               "\", which a policy does not know"));
      return false;
    }
    return true;
  }

  std::string Text(const json& object, const std::string& where, const char* name) {
    const auto found = object.find(name);
    if (found != object.end() && found->is_string()) return found->get<std::string>();
    Note(absl::StrCat(where, ".", name), found == object.end() ? "is missing" : "is not a string");
    return "";
  }

  absl::Status status() const { return status_; }

 private:
  void Note(absl::string_view where, absl::string_view problem) {
    status_.Update(absl::InvalidArgumentError(absl::StrCat(where, " ", problem)));
  }

  json Object(const json& object, const std::string& where, const char* name) {
    const auto found = object.find(name);
    if (found == object.end()) return json::object();
    if (!found->is_object()) Note(absl::StrCat(where, ".", name), "is not an object");
    return found->is_object() ? *found : json::object();
  }

  // Calls `use(element, its place)` for those of an array, if there is one.
  template <typename Use>
  void ForEach(const json& object, const std::string& where, const char* name, Use use) {
    const auto found = object.find(name);
    if (found == object.end()) return;
    const std::string at = absl::StrCat(where, ".", name);
    if (!found->is_array()) return Note(at, "is not an array");
    for (size_t i = 0; i < found->size(); ++i) use((*found)[i], absl::StrCat(at, "[", i, "]"));
  }

  std::vector<std::string> Texts(const json& object, const std::string& where, const char* name) {
    std::vector<std::string> texts;
    ForEach(object, where, name, [&](const json& text, const std::string& at) {
      if (!text.is_string()) return Note(at, "is not a string");
      texts.push_back(text.get<std::string>());
      if (!HasStarInside(texts.back())) return;
      Note(at, "has a * inside; want one at its begin or end alone");
    });
    return texts;
  }

  std::vector<HeaderRule> Headers(const json& request, const std::string& where) {
    std::vector<HeaderRule> headers;
    ForEach(request, where, "headers", [&](const json& header, const std::string& at) {
      if (!HasOnly(header, at, {"key", "values"})) return;
      const std::string key = absl::AsciiStrToLower(Text(header, at, "key"));
      if (absl::StartsWith(key, ":") || absl::StartsWith(key, "grpc-") || key == "host") {
        Note(at + ".key", "is one of gRPC's own headers, which a policy cannot ask for");
      }
      headers.push_back({.key = key, .values = Texts(header, at, "values")});
      if (headers.back().values.empty()) Note(at + ".values", "is empty");
    });
    return headers;
  }

  absl::Status status_;
};

absl::StatusOr<Policy> Policy::FromJson(absl::string_view text) {
  const absl::StatusOr<json> parsed = engine::ParseJson(text, engine::JsonComments::kAllowed);
  if (!parsed.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("policy ", parsed.status().message()));
  }
  const json& policy = *parsed;
  Reader reader;
  Policy result;
  if (reader.HasOnly(policy, "policy", {"name", "deny_rules", "allow_rules"})) {
    reader.Text(policy, "policy", "name");
    result.deny_ = reader.Rules(policy, "policy", "deny_rules");
    result.allow_ = reader.Rules(policy, "policy", "allow_rules");
  }
  absl::Status status = reader.status();
  if (status.ok() && policy.count("allow_rules") == 0) {
    status = absl::InvalidArgumentError("policy.allow_rules is missing: nobody could call");
  }
  if (!status.ok()) return status;
  return result;
}

absl::StatusOr<Policy> Policy::FromFile(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) return absl::NotFoundError(absl::StrCat("cannot read the policy ", file));
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  absl::StatusOr<Policy> policy = FromJson(text);
  if (policy.ok()) return policy;
  return absl::InvalidArgumentError(absl::StrCat(file, ": ", policy.status().message()));
}

bool Policy::Matches(const Rule& rule, const Call& call) {
  if (!rule.principals.empty() &&
      std::none_of(call.principals.begin(), call.principals.end(),
                   [&](absl::string_view who) { return AnyTextMatches(rule.principals, who); })) {
    return false;
  }
  if (!rule.paths.empty() && !AnyTextMatches(rule.paths, call.path) &&
      (call.other_path.empty() || !AnyTextMatches(rule.paths, call.other_path))) {
    return false;
  }
  return std::all_of(rule.headers.begin(), rule.headers.end(), [&](const HeaderRule& want) {
    return std::any_of(call.headers.begin(), call.headers.end(), [&](const Header& header) {
      return header.first == want.key && AnyTextMatches(want.values, header.second);
    });
  });
}

bool Policy::AnyMatches(absl::Span<const Rule> rules, const Call& call) {
  return std::any_of(rules.begin(), rules.end(),
                     [&](const Rule& rule) { return Matches(rule, call); });
}

bool Policy::Allows(const Call& call) const {
  return !AnyMatches(deny_, call) && AnyMatches(allow_, call);
}

}  // namespace attention::ops
