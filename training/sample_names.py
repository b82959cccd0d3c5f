"""Names for the synthetic merchants' places.

The municipalities are public names of Brazilian municipalities, the most populous of each state first, so the same
name can stand under two states, as it does in reality. The districts are common names of Brazilian neighbourhoods,
spread over the municipalities by `training.sample_places`: a district named there need not exist in its municipality.
"""

from __future__ import annotations

from typing import Final

MUNICIPALITIES: Final = {
    "SP": (
        "São Paulo;Guarulhos;Campinas;São Bernardo do Campo;Santo André;Osasco;São José dos Campos;"
        "Ribeirão Preto;Sorocaba;Santos;Mauá;São José do Rio Preto;Mogi das Cruzes;Diadema;Jundiaí;"
        "Piracicaba;Carapicuíba;Bauru;Itaquaquecetuba;São Vicente;Franca;Praia Grande;Guarujá;Taubaté;"
        "Limeira;Suzano;Taboão da Serra;Sumaré;Barueri;Embu das Artes;São Carlos;Indaiatuba;Cotia;"
        "Americana;Marília;Itapevi;Araraquara;Jacareí;Hortolândia;Presidente Prudente;Rio Claro;Araçatuba;"
        "Santa Bárbara d'Oeste;Ferraz de Vasconcelos;Itapecerica da Serra;São Caetano do Sul;"
        "Bragança Paulista;Pindamonhangaba;Itu;Atibaia;Francisco Morato;Itapetininga;Mogi Guaçu;"
        "Franco da Rocha;Botucatu;Caraguatatuba;Salto;Jaú;Araras;Santana de Parnaíba;Votorantim;"
        "Sertãozinho;Valinhos;Barretos;Catanduva;Guaratinguetá;Ourinhos;Birigui;Tatuí;Itatiba;"
        "Várzea Paulista;Paulínia;Assis;Leme;Ubatuba;Itanhaém;Caieiras;Mairiporã;Votuporanga;"
        "São João da Boa Vista;Avaré;Lorena;Mogi Mirim;Arujá;São Sebastião;Matão;Cruzeiro;Bebedouro;"
        "Pirassununga;Peruíbe;Itapira;Lins;Jaboticabal;Olímpia;Mococa;Penápolis;Fernandópolis;Boituva;"
        "Vinhedo;Amparo;Capivari;Dracena;Adamantina;Campos do Jordão;Ilhabela;Serra Negra;"
        "Águas de Lindóia;Brotas;Registro;Tupã"
    ),
    "MG": (
        "Belo Horizonte;Uberlândia;Contagem;Juiz de Fora;Betim;Montes Claros;Ribeirão das Neves;Uberaba;"
        "Governador Valadares;Ipatinga;Sete Lagoas;Divinópolis;Santa Luzia;Ibirité;Poços de Caldas;"
        "Patos de Minas;Pouso Alegre;Teófilo Otoni;Barbacena;Sabará;Varginha;Conselheiro Lafaiete;"
        "Vespasiano;Itabira;Araguari;Ubá;Passos;Coronel Fabriciano;Muriaé;Araxá;Ituiutaba;Lavras;"
        "Nova Serrana;Itajubá;Pará de Minas;Nova Lima;Itaúna;Paracatu;Caratinga;Patrocínio;Manhuaçu;"
        "São João del Rei;Timóteo;Unaí;Curvelo;Alfenas;João Monlevade;Três Corações;Viçosa;Cataguases;"
        "Ouro Preto;Janaúba;São Sebastião do Paraíso;Esmeraldas;Januária;Formiga;Lagoa Santa;"
        "Pedro Leopoldo;Mariana;Frutal;Três Pontas;Pirapora;Ponte Nova;Leopoldina;Congonhas;Campo Belo;"
        "Lagoa da Prata;Guaxupé;Bom Despacho;Diamantina;Monte Carmelo;Santos Dumont;Tiradentes;Toledo;"
        "Extrema;Capelinha"
    ),
    "PR": (
        "Curitiba;Londrina;Maringá;Ponta Grossa;Cascavel;São José dos Pinhais;Foz do Iguaçu;Colombo;"
        "Guarapuava;Paranaguá;Araucária;Toledo;Apucarana;Pinhais;Campo Largo;Arapongas;"
        "Almirante Tamandaré;Umuarama;Piraquara;Cambé;Fazenda Rio Grande;Campo Mourão;Sarandi;"
        "Francisco Beltrão;Paranavaí;Pato Branco;Cianorte;Telêmaco Borba;Castro;Rolândia;Irati;"
        "União da Vitória;Ibiporã;Marechal Cândido Rondon;Prudentópolis;Palmas;Cornélio Procópio;"
        "Medianeira;Lapa;Santo Antônio da Platina;Campina Grande do Sul;Dois Vizinhos;Paiçandu;"
        "Jacarezinho;Guaratuba;Matinhos;Guaíra;Palotina;Ivaiporã;Bandeirantes;Loanda;Mandaguari"
    ),
    "RJ": (
        "Rio de Janeiro;São Gonçalo;Duque de Caxias;Nova Iguaçu;Niterói;Campos dos Goytacazes;"
        "Belford Roxo;São João de Meriti;Petrópolis;Volta Redonda;Macaé;Magé;Itaboraí;Cabo Frio;"
        "Angra dos Reis;Nova Friburgo;Barra Mansa;Maricá;Teresópolis;Mesquita;Rio das Ostras;Nilópolis;"
        "Queimados;Araruama;Resende;Itaguaí;São Pedro da Aldeia;Itaperuna;Japeri;Barra do Piraí;Saquarema;"
        "Seropédica;Três Rios;Valença;Cachoeiras de Macacu;Rio Bonito;Guapimirim;Casimiro de Abreu;Paraty;"
        "Paraíba do Sul;Armação dos Búzios;Arraial do Cabo;Vassouras;Santo Antônio de Pádua;"
        "Bom Jesus do Itabapoana;Miguel Pereira;Itatiaia;Mangaratiba"
    ),
    "SC": (
        "Joinville;Florianópolis;Blumenau;São José;Itajaí;Chapecó;Palhoça;Criciúma;Jaraguá do Sul;Brusque;"
        "Lages;Balneário Camboriú;Tubarão;Camboriú;Navegantes;São Bento do Sul;Caçador;Concórdia;Biguaçu;"
        "Gaspar;Indaial;Rio do Sul;Araranguá;Itapema;Içara;Mafra;Canoinhas;Timbó;Videira;Xanxerê;"
        "São Francisco do Sul;Imbituba;Laguna;Guaramirim;Porto União;Tijucas;Penha;Curitibanos;"
        "São Miguel do Oeste;Pomerode;Joaçaba;Fraiburgo;Campos Novos;Sombrio;Garopaba;Bombinhas;Maravilha;"
        "São Domingos"
    ),
    "RS": (
        "Porto Alegre;Caxias do Sul;Canoas;Pelotas;Santa Maria;Gravataí;Viamão;Novo Hamburgo;São Leopoldo;"
        "Rio Grande;Alvorada;Passo Fundo;Sapucaia do Sul;Uruguaiana;Santa Cruz do Sul;Cachoeirinha;Bagé;"
        "Bento Gonçalves;Erechim;Guaíba;Cachoeira do Sul;Santana do Livramento;Esteio;Ijuí;Sapiranga;"
        "Santo Ângelo;Lajeado;Alegrete;Santa Rosa;Farroupilha;Venâncio Aires;Capão da Canoa;Camaquã;"
        "Vacaria;Cruz Alta;Carazinho;Tramandaí;Montenegro;Taquara;São Borja;São Gabriel;Parobé;"
        "Estância Velha;Osório;Gramado;Canela;Torres;Garibaldi;Panambi;Cruzeiro do Sul;Rosário do Sul"
    ),
    "BA": (
        "Salvador;Feira de Santana;Vitória da Conquista;Camaçari;Juazeiro;Itabuna;Lauro de Freitas;"
        "Teixeira de Freitas;Barreiras;Ilhéus;Jequié;Porto Seguro;Simões Filho;Luís Eduardo Magalhães;"
        "Alagoinhas;Paulo Afonso;Eunápolis;Santo Antônio de Jesus;Valença;Candeias;Guanambi;Jacobina;"
        "Serrinha;Senhor do Bonfim;Dias d'Ávila;Itapetinga;Irecê;Casa Nova;Bom Jesus da Lapa;Brumado;"
        "Conceição do Coité;Itamaraju;Cruz das Almas;Itaberaba;Ribeira do Pombal;Euclides da Cunha;Ipirá;"
        "Santo Amaro;Prado;Lençóis;Itacaré;Santa Inês"
    ),
    "GO": (
        "Goiânia;Aparecida de Goiânia;Anápolis;Rio Verde;Águas Lindas de Goiás;Luziânia;"
        "Valparaíso de Goiás;Trindade;Formosa;Novo Gama;Senador Canedo;Catalão;Itumbiara;Jataí;Planaltina;"
        "Caldas Novas;Santo Antônio do Descoberto;Cidade Ocidental;Goianésia;Mineiros;Cristalina;Inhumas;"
        "Porangatu;Quirinópolis;Morrinhos;Jaraguá;Uruaçu;Pires do Rio;Ceres;Pirenópolis;Iporá;"
        "São Luís de Montes Belos;São Domingos"
    ),
    "PE": (
        "Recife;Jaboatão dos Guararapes;Olinda;Caruaru;Petrolina;Paulista;Cabo de Santo Agostinho;"
        "Camaragibe;Garanhuns;Vitória de Santo Antão;Igarassu;São Lourenço da Mata;"
        "Santa Cruz do Capibaribe;Abreu e Lima;Ipojuca;Serra Talhada;Gravatá;Araripina;Goiana;Belo Jardim;"
        "Carpina;Arcoverde;Ouricuri;Surubim;Salgueiro;Bezerros;Escada;Timbaúba;Palmares;Limoeiro;Bonito;"
        "Toritama;Afogados da Ingazeira"
    ),
    "CE": (
        "Fortaleza;Caucaia;Juazeiro do Norte;Maracanaú;Sobral;Itapipoca;Crato;Maranguape;Iguatu;Quixadá;"
        "Pacatuba;Aquiraz;Quixeramobim;Canindé;Crateús;Russas;Aracati;Tianguá;Cascavel;Pacajus;Horizonte;"
        "Icó;Camocim;Morada Nova;Acaraú;Viçosa do Ceará;Barbalha;Limoeiro do Norte;Eusébio;Tauá;Trairi;"
        "Granja;Jijoca de Jericoacoara"
    ),
    "ES": (
        "Serra;Vila Velha;Cariacica;Vitória;Cachoeiro de Itapemirim;Linhares;São Mateus;Guarapari;"
        "Colatina;Aracruz;Viana;Nova Venécia;Barra de São Francisco;Santa Maria de Jetibá;Castelo;"
        "Marataízes;São Gabriel da Palha;Domingos Martins;Itapemirim;Afonso Cláudio;Alegre;Baixo Guandu;"
        "Conceição da Barra;Anchieta;Venda Nova do Imigrante"
    ),
    "PA": (
        "Belém;Ananindeua;Santarém;Marabá;Parauapebas;Castanhal;Abaetetuba;Cametá;Marituba;"
        "São Félix do Xingu;Bragança;Barcarena;Altamira;Tucuruí;Paragominas;Tailândia;Breves;Itaituba;"
        "Redenção;Moju;Novo Repartimento;Oriximiná;Santana do Araguaia;Capanema;Benevides;Dom Eliseu;"
        "Salinópolis;Xinguara;Canaã dos Carajás"
    ),
    "DF": "Brasília",
    "MT": (
        "Cuiabá;Várzea Grande;Rondonópolis;Sinop;Tangará da Serra;Cáceres;Sorriso;Lucas do Rio Verde;"
        "Primavera do Leste;Barra do Garças;Alta Floresta;Pontes e Lacerda;Nova Mutum;Campo Verde;Juína;"
        "Colniza;Guarantã do Norte;Juara;Poconé;Confresa;Peixoto de Azevedo;Campo Novo do Parecis;"
        "Mirassol d'Oeste;Colíder;Sapezal"
    ),
    "RN": (
        "Natal;Mossoró;Parnamirim;São Gonçalo do Amarante;Macaíba;Ceará-Mirim;Caicó;Açu;Currais Novos;"
        "São José de Mipibu;Santa Cruz;Nova Cruz;Apodi;João Câmara;Touros;Canguaretama;Pau dos Ferros;"
        "Macau;Areia Branca;Extremoz;Tibau do Sul"
    ),
    "MA": (
        "São Luís;Imperatriz;São José de Ribamar;Timon;Caxias;Paço do Lumiar;Codó;Açailândia;Bacabal;"
        "Balsas;Santa Inês;Pinheiro;Barra do Corda;Chapadinha;Buriticupu;Santa Luzia;Grajaú;"
        "Itapecuru Mirim;Coroatá;Barreirinhas;Tutóia;Viana;Zé Doca;Lago da Pedra;Presidente Dutra;Estreito"
    ),
    "MS": (
        "Campo Grande;Dourados;Três Lagoas;Corumbá;Ponta Porã;Naviraí;Nova Andradina;Aquidauana;"
        "Sidrolândia;Maracaju;Paranaíba;Amambai;Rio Brilhante;Coxim;Caarapó;Chapadão do Sul;Bonito;Jardim;"
        "Cassilândia;Ivinhema;Bataguassu"
    ),
    "PB": (
        "João Pessoa;Campina Grande;Santa Rita;Patos;Bayeux;Sousa;Cabedelo;Cajazeiras;Guarabira;Sapé;"
        "Queimadas;Mamanguape;Pombal;São Bento;Monteiro;Esperança;Pedras de Fogo;Catolé do Rocha;"
        "Alagoa Grande;Itabaiana;Conde;Santa Luzia;Princesa Isabel"
    ),
    "AM": (
        "Manaus;Itacoatiara;Manacapuru;Parintins;Tefé;Tabatinga;Coari;Maués;Iranduba;Humaitá;"
        "São Gabriel da Cachoeira;Manicoré;Autazes;Presidente Figueiredo;Lábrea;Rio Preto da Eva"
    ),
    "AL": (
        "Maceió;Arapiraca;Rio Largo;Palmeira dos Índios;União dos Palmares;Penedo;São Miguel dos Campos;"
        "Campo Alegre;Coruripe;Delmiro Gouveia;Marechal Deodoro;Santana do Ipanema;Atalaia;"
        "Teotônio Vilela;Girau do Ponciano;Maragogi"
    ),
    "PI": (
        "Teresina;Parnaíba;Picos;Piripiri;Floriano;Barras;Campo Maior;União;Altos;Esperantina;"
        "José de Freitas;Pedro II;Oeiras;São Raimundo Nonato;Bom Jesus;Corrente;Luís Correia;Uruçuí"
    ),
    "RO": (
        "Porto Velho;Ji-Paraná;Ariquemes;Vilhena;Cacoal;Rolim de Moura;Jaru;Guajará-Mirim;"
        "Machadinho d'Oeste;Buritis;Pimenta Bueno;Ouro Preto do Oeste;Espigão d'Oeste;Nova Mamoré;"
        "Candeias do Jamari;Cerejeiras"
    ),
    "SE": (
        "Aracaju;Nossa Senhora do Socorro;Lagarto;Itabaiana;São Cristóvão;Estância;Tobias Barreto;"
        "Itabaianinha;Simão Dias;Nossa Senhora da Glória;Poço Redondo;Capela;Itaporanga d'Ajuda;"
        "Barra dos Coqueiros;Laranjeiras;Propriá"
    ),
    "TO": (
        "Palmas;Araguaína;Gurupi;Porto Nacional;Paraíso do Tocantins;Araguatins;Colinas do Tocantins;"
        "Guaraí;Tocantinópolis;Dianópolis;Miracema do Tocantins;Formoso do Araguaia;Augustinópolis;"
        "Pedro Afonso;Miranorte"
    ),
    "AP": ("Macapá;Santana;Laranjal do Jari;Oiapoque;Mazagão;Porto Grande;Tartarugalzinho;Pedra Branca do Amapari"),
    "AC": (
        "Rio Branco;Cruzeiro do Sul;Sena Madureira;Tarauacá;Feijó;Brasileia;Senador Guiomard;Plácido de Castro;Xapuri"
    ),
    "RR": "Boa Vista;Rorainópolis;Caracaraí;Cantá;Mucajaí;Alto Alegre;Pacaraima;Bonfim",
}
"""By state, municipality names separated by semicolons."""

_COMMON: Final = (
    "São José;Santo Antônio;Boa Vista;São Francisco;Santa Rita;Industrial;Aeroporto;Bela Vista;Distrito Industrial;"
    "Nossa Senhora Aparecida;São Sebastião;Santa Luzia;Planalto;São João;Zona Rural;Cidade Nova;Santa Cruz;"
    "São Pedro;Universitário;Liberdade;Santa Terezinha;Alvorada;Progresso;São Cristóvão;Rodoviário;Esplanada;"
    "Cidade Alta;Santana;Glória;Primavera"
)
_KINDS: Final = (
    "Jardim;Vila;Parque;Residencial;Conjunto;Loteamento;Setor;Condomínio;Morada;Recanto;Chácara;Portal;Bosque;Núcleo"
)
_PROPER: Final = (
    "América;Europa;Itália;Brasil;Paulista;Mineiro;das Flores;das Palmeiras;dos Ipês;das Acácias;dos Pinheiros;"
    "do Lago;do Sol;da Serra;da Mata;do Bosque;das Águas;do Horto;da Colina;do Vale;Aurora;Esperança;Vitória;"
    "Imperial;Real;Tropical;Ipiranga;Guanabara;Iracema;Tupi;Paraíso;Éden;Monte Verde;Monte Alegre;Campo Belo;"
    "Campo Verde;Rio Claro;Rio Branco;São Carlos;São Jorge;São Lucas;São Marcos;São Miguel;São Paulo;São Vicente;"
    "Santa Clara;Santa Helena;Santa Maria;Santa Mônica;Santa Rosa;Santo André;Santo Expedito;Alegre;Formosa;"
    "Independência;República;Castelo Branco;Getúlio;Rui Barbosa;Tiradentes;Dom Bosco;Pedro II;Isabel;Leopoldina;"
    "Maria Luíza;Mariana;Regina;Sônia;Novo Horizonte;Panorama"
)

COMMON_DISTRICTS: Final = tuple(_COMMON.split(";"))
"""Names found in most municipalities."""

OTHER_DISTRICTS: Final = tuple(f"{kind} {name}" for kind in _KINDS.split(";") for name in _PROPER.split(";"))
"""Names found in some municipalities."""
