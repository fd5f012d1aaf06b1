package otp

// The keys of texts that serve every operation without one of its own.
const (
	textOperation = "operation"
	textPayment   = "operation.transaction"
)

// builtinTexts are the texts of the package by locale and purpose. Those that need UCS-2 (Russian, Arabic) have 70
// characters in all, so they are terse. Placeholders of the Latin ones avoid letters outside the GSM alphabet.
var builtinTexts = map[string]map[string]string{
	"en": {
		"sms.enable":  "Your code to turn on SMS security codes: {code}. Valid {minutes} min. Never share it.",
		"sms.disable": "Your code to turn off SMS security codes: {code}. Valid {minutes} min. Never share it.",
		"login":       "Your login code: {code}. Valid {minutes} min. Never share it.",
		"withdrawal":  "Withdraw {amount} {currency} to {payee}? Your code: {code}. Valid {minutes} min. Not you? Never share it.",
		textOperation: "Your security code: {code}. Valid {minutes} min. Never share it.",
		textPayment:   "Confirm {amount} {currency} to {payee}? Your code: {code}. Valid {minutes} min. Never share it.",
	},
	"de": {
		"sms.enable":  "Ihr Code zum Einschalten der SMS-Codes: {code}. {minutes} Min. gültig. Nie weitergeben.",
		"sms.disable": "Ihr Code zum Ausschalten der SMS-Codes: {code}. {minutes} Min. gültig. Nie weitergeben.",
		"login":       "Ihr Anmeldecode: {code}. {minutes} Min. gültig. Nie weitergeben.",
		"withdrawal":  "Auszahlung {amount} {currency} an {payee}? Ihr Code: {code}. {minutes} Min. gültig. Nie weitergeben.",
		textOperation: "Ihr Sicherheitscode: {code}. {minutes} Min. gültig. Nie weitergeben.",
		textPayment:   "{amount} {currency} an {payee} freigeben? Ihr Code: {code}. {minutes} Min. gültig. Nie weitergeben.",
	},
	"fr": {
		"sms.enable":  "Votre code pour activer les codes SMS: {code}. Valable {minutes} min. Ne le donnez jamais.",
		"sms.disable": "Votre code pour désactiver les codes SMS: {code}. Valable {minutes} min. Ne le donnez jamais.",
		"login":       "Votre code de connexion: {code}. Valable {minutes} min. Ne le donnez jamais.",
		"withdrawal":  "Retrait de {amount} {currency} vers {payee}? Votre code: {code}. Valable {minutes} min. Ne le donnez jamais.",
		textOperation: "Votre code de sécurité: {code}. Valable {minutes} min. Ne le donnez jamais.",
		textPayment:   "Valider {amount} {currency} vers {payee}? Votre code: {code}. Valable {minutes} min. Ne le donnez jamais.",
	},
	"es": {
		"sms.enable":  "Su código para activar los códigos SMS: {code}.",
		"sms.disable": "Su código para desactivar los códigos SMS: {code}.",
		"login":       "Su código de acceso: {code}. Válido {minutes} min. No lo comparta.",
		"withdrawal":  "¿Retirar {amount} {currency} a {payee}? Su clave: {code}. Vale {minutes} min. No la comparta.",
		textOperation: "Su código de seguridad: {code}. Válido {minutes} min.",
		textPayment:   "¿Confirmar {amount} {currency} a {payee}? Su clave: {code}. Vale {minutes} min. No la comparta.",
	},
	"pt": {
		"sms.enable":  "Seu código para ativar os códigos SMS: {code}.",
		"sms.disable": "Seu código para desativar os códigos SMS: {code}.",
		"login":       "Seu código de acesso: {code}. Vale {minutes} min.",
		"withdrawal":  "Saque de {amount} {currency} para {payee}? Sua senha: {code}. Vale {minutes} min. Nunca compartilhe.",
		textOperation: "Seu código de segurança: {code}. Vale {minutes} min.",
		textPayment:   "Confirmar {amount} {currency} para {payee}? Sua senha: {code}. Vale {minutes} min. Nunca compartilhe.",
	},
	"ru": {
		"sms.enable":  "Включить SMS-коды: {code}. {minutes} мин. Никому не говорите.",
		"sms.disable": "Отключить SMS-коды: {code}. {minutes} мин. Никому не говорите.",
		"login":       "Код для входа: {code}. {minutes} мин. Никому не говорите.",
		"withdrawal":  "Вывод {amount} {currency} на {payee}: {code}. Не говорите.",
		textOperation: "Код: {code}. {minutes} мин. Никому не говорите.",
		textPayment:   "Платёж {amount} {currency} на {payee}: {code}",
	},
	"ar": {
		"sms.enable":  "رمز تفعيل رموز SMS: {code}. صالح {minutes} د. لا تشاركه أبدا.",
		"sms.disable": "رمز إيقاف رموز SMS: {code}. صالح {minutes} د. لا تشاركه أبدا.",
		"login":       "رمز الدخول: {code}. صالح {minutes} د. لا تشاركه أبدا.",
		"withdrawal":  "سحب {amount} {currency} إلى {payee}: {code}",
		textOperation: "رمز الأمان: {code}. صالح {minutes} د. لا تشاركه أبدا.",
		textPayment:   "دفع {amount} {currency} إلى {payee}: {code}",
	},
}
