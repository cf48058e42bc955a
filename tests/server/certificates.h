#ifndef ATTENTION_TESTS_SERVER_CERTIFICATES_H_
#define ATTENTION_TESTS_SERVER_CERTIFICATES_H_

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

namespace attention {

// A certificate and its key, in PEM form.
struct Identity {
  std::string certificate, key;
};

// A certificate authority that lives for a test.
class Authority {
 public:
  Authority();

  // Its own certificate, in PEM form.
  std::string Root() const;
  // For who goes by `names`, in OpenSSL's words: "DNS:localhost,IP:127.0.0.1" or
  // "URI:spiffe://a/b".
  Identity Issue(const std::string& names) const;

 private:
  using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
  using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;
  static Certificate Make(const std::string& subject, EVP_PKEY* key);

  Key key_;
  Certificate certificate_;
};

}  // namespace attention

#endif  // ATTENTION_TESTS_SERVER_CERTIFICATES_H_
