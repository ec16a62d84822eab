/** The content-security policy's nonce of this page: style elements that libraries make carry it. */
export const nonce: string =
  document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content ?? "";
