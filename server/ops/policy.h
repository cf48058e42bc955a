#ifndef ATTENTION_SERVER_OPS_POLICY_H_
#define ATTENTION_SERVER_OPS_POLICY_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace attention::ops {

// Who may call what: gRPC's own JSON form of an authorization policy (gRFC A43), which gRPC's
// library reads for itself where its packages have that part; Debian's do not.
//
//   {
//     "name": "production",
//     "deny_rules": [{"name": "nobody deletes",
//                     "request": {"paths": ["/attention.v1.LayerService/DeleteLayer"]}}],
//     "allow_rules": [
//       {"name": "all of ours compute",
//        "source": {"principals": ["spiffe://example.org/*"]},
//        "request": {"paths": ["/attention.v1.AttentionService/*",
//                              "/attention.v1.EncoderService/*"]}},
//       {"name": "operators change layers",
//        "source": {"principals": ["spiffe://example.org/operator"]},
//        "request": {"paths": ["/attention.v1.*"], "headers": [{"key": "x-team", "values":
//        ["a"]}]}}
//     ]
//   }
//
// A call that a deny rule matches is refused; of the others, those that an allow rule matches are
// taken, and no others. A rule matches where its principals, its paths and each of its headers do;
// a list that is left out or empty matches everything. Texts match exactly, by prefix ("abc*"), by
// suffix ("*abc") or, as "*", whatever is there; with a * elsewhere they are refused. Immutable.
class Policy {
 public:
  // INVALID_ARGUMENT, saying where, for what is not of that form; members of other names and twins
  // included, since a misspelt or hidden restriction would be none.
  static absl::StatusOr<Policy> FromJson(absl::string_view json);
  static absl::StatusOr<Policy> FromFile(const std::string& file);  // NOT_FOUND: cannot be read

  // The one principal of those who call over the Unix socket, where nobody shows a certificate.
  static constexpr absl::string_view kUnixSocket = "unix-socket";

  using Header = std::pair<absl::string_view, absl::string_view>;
  struct Call {
    // Who calls: the URIs, the DNS names and the subject of the certificate that the peer showed,
    // or kUnixSocket; empty where it showed none, which no list of principals matches.
    std::vector<absl::string_view> principals;
    absl::string_view path;  // "/attention.v1.EncoderService/Encode"
    std::vector<Header> headers;
    // The same method by another name that its service goes by, or empty. A rule that matches
    // either matches the call.
    absl::string_view other_path = {};
  };
  bool Allows(const Call& call) const;

 private:
  struct HeaderRule {
    std::string key;
    std::vector<std::string> values;
  };
  struct Rule {
    std::vector<std::string> principals, paths;
    std::vector<HeaderRule> headers;
  };
  class Reader;
  static bool Matches(const Rule& rule, const Call& call);
  static bool AnyMatches(absl::Span<const Rule> rules, const Call& call);

  std::vector<Rule> deny_, allow_;
};

}  // namespace attention::ops

#endif  // ATTENTION_SERVER_OPS_POLICY_H_
